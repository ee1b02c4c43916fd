"""The command `msm`, one file a command."""
