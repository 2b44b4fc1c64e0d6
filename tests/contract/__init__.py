"""What must hold on any broker: workers as processes of their own, judged only by what a reader of the topics sees."""
