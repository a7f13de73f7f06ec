"""From plan to plant: decides, judges, commands and proves; heat first, units protected always."""
