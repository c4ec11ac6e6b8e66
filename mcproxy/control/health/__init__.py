"""Active checks of endpoints, ejection of failing ones, names whose every address is an endpoint."""
