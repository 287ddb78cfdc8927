"""The HTTP server under the application: connections whose patience ends, readers that stand still."""
