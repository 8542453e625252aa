-- ARGV now, skill, its queue -> the skill's number in this shard
return skill_number(ARGV[2], ARGV[3])
