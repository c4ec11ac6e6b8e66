"""What filters make of requests and their answers: guards, which refuse, and modifiers, which change something."""
