"""What the network is held against: rules, ridge, LightGBM, an LSTM, neutral versions, the oracle."""
