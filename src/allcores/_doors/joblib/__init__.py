"""joblib's backend: begin with `backend`."""
