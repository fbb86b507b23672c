"""Champion and challenger: registered models, their difference on days neither has seen, and who scores."""
