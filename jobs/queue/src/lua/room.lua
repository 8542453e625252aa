-- flag no-writes. ARGV tenant, queue -> what there is of each limit on a tenant's backlog, as `room_of` says
return room_of(ARGV[1], dec(ARGV[1], call('HGET', kT, ARGV[1])), ARGV[2])
