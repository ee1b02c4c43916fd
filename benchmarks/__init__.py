"""What msm reaches, measured by commands that anyone can run again."""
