"""What ``personadual data inspect`` counts and shows."""
