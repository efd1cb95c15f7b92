"""The GeneFormer network: floating point for training, integers for coding. The only importer of torch."""
