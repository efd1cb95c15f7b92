"""The GeneFormer network: floating point for training, integers for coding, and the model file."""
