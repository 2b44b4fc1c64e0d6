"""A journey drawn as SVG, without a browser and without Graphviz."""
