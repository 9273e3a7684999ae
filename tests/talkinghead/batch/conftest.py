"""The networks' stand-ins, which lie one folder up."""
