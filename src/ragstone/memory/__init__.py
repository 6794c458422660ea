"""What people and agents learned: facts, episodes and knowledge, remembered, merged, found again, forgotten."""
