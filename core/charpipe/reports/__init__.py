"""What a run's folder tells, for people: its report as one HTML page, and runs side by side."""
