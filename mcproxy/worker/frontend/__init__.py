"""From accept to the route."""
