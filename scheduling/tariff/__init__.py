"""What electricity costs: the tariff file, its calendar, the price of any instant, and the bill."""
