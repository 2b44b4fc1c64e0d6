"""The contract with producers and readers: style, versions in git, subjects in a registry, what differs, pages for readers."""
