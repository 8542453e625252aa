-- ARGV now, lane, its queue -> the lane's number in this shard
return lane_number(ARGV[2], ARGV[3])
