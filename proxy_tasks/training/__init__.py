"""The steps of a training, whatever its network: recipe, optimizer, schedule, averages, processes."""
