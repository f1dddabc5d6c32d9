"""The backbones: what turns users and items into embeddings."""
