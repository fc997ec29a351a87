"""Who is owed what for one conversion: from its facts and a plan to decisions, each with every step on the way."""
