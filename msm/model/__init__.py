"""The network, its checkpoints, the state that it carries from day to day, and inference."""
