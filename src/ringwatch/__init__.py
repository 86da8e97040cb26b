"""ringwatch: finds coordinated account networks in usage data."""
