"""What can be asked of a model: each verb is a request's inputs as a value, and how a batch of them is answered."""
