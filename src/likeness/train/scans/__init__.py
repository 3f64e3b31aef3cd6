"""The identity space, trained on registered meshes."""
