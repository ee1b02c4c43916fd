"""The network, its checkpoint, the state it carries from day to day, and one day of inference."""
