"""The nano model: networks, rendered training pictures and training loops. Run the programs as modules from training/."""
