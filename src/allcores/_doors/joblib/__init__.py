"""A backend for joblib, and the service that its calls share."""
