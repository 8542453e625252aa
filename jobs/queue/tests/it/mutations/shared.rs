//! Of what all operations build on.

use super::mutation::{Mutation, one, patch};

pub(super) const MUTATIONS: &[Mutation] = &[
    one(
        "an eighth job starts where seven may",
        "00_tenants",
        "if na >= s.cap then return CAPPED end",
        "if na > s.cap then return CAPPED end",
    ),
    one(
        "what was charged too much takes virtual time back",
        "00_tenants",
        "if delta_us < 0 then s.credit = s.credit - delta_us",
        "if delta_us < 0 then s.vt = max(0, s.vt + floor(delta_us * US / s.w))",
    ),
    one(
        "a tenant is forgotten while its jobs run",
        "00_tenants",
        "if s.st == IDLE and na == 0 and #s.skills == 0",
        "if s.st == IDLE and #s.skills == 0",
    ),
    one(
        "a burst is one longer than it may be",
        "00_tenants",
        "ceil(s.tat - (s.burst - 1) * s.emit)",
        "ceil(s.tat - s.burst * s.emit)",
    ),
    one(
        "who is paused stays in the ready index",
        "00_tenants",
        "    for skill in pairs(s.idx) do push_to(zr, skill, t) end\n",
        "",
    ),
    one(
        "a newcomer's long jobs cost as little as short ones",
        "00_tenants",
        "return min(max(UNKNOWN_US, 2000 * (now + s.est)), MOST_US)",
        "return UNKNOWN_US",
    ),
    one(
        "a slot of a type is never free again",
        "01_jobs",
        "    for kind in pairs(caps_of(t, s)) do call('SREM', k..'a:'..kind, unpack(ids)) end\n",
        "",
    ),
    one(
        "a key that was taken for a period is taken for ever",
        "01_jobs",
        "    call('ZADD', k..'v', till, key)\n",
        "",
    ),
    one(
        "a key that is taken until the end is free at the start",
        "01_jobs",
        "if scope and (scope == 's' or when ~= 'started') then",
        "if scope then",
    ),
    one(
        "what was given back goes last",
        "01_jobs",
        "call(first and 'LPUSH' or 'RPUSH', kt",
        "call('RPUSH', kt",
    ),
    one(
        "a new job belongs to the work that was called off",
        "01_jobs",
        "if s.ep == 0 then return record end",
        "if s.ep >= 0 then return record end",
    ),
    one(
        "a later job puts an earlier one's timer off",
        "01_jobs",
        "call('ZADD', kw, 'LT', int(due), kind..t)",
        "call('ZADD', kw, int(due), kind..t)",
    ),
    one("deaths are forgotten", "01_jobs", "min(r.deaths, 99)", "0"),
    one(
        "a group that is closed can close again",
        "02_groups",
        "  call('DEL', key)\n  if not id then return end",
        "  if not id then return end",
    ),
    one(
        "success counts as failure",
        "02_groups",
        "  if failed then\n    call('HINCRBY'",
        "  if not failed then\n    call('HINCRBY'",
    ),
    one(
        "a running job is not told to stop",
        "02_groups",
        "      call('ZADD', p..':s', int(now), claims[i]..' '..id)\n",
        "",
    ),
    one(
        "a scheduled job that was cancelled comes up",
        "02_groups",
        "if waits then call('ZREM', k..waits, id) else call('HSET'",
        "if not waits then call('HSET'",
    ),
    one(
        "what a cancelled group waits for goes on",
        "02_groups",
        "  for i = 1, #inner do group_cancel(t, s, inner[i], now) end\n",
        "",
    ),
    one(
        "a continuation does not wait for the last member",
        "02_groups",
        "if call('HLEN', key) > 3 then return end",
        "if call('HLEN', key) > 4 then return end",
    ),
    one(
        "an id that is there is put in line again",
        "03_enqueue",
        "if known[j] or seen[id] then",
        "if seen[id] then",
    ),
    one(
        "an id that was cancelled while it waited comes back beside its ghost",
        "03_enqueue",
        "elseif ghosts and ghosts[j] then",
        "elseif false then",
    ),
    one(
        "the job that took another's place is taken for its ghost",
        "03_enqueue",
        "    call('HDEL', k..'H', old)\n",
        "    call('HSET', k..'H', id, 0)\n",
    ),
    one(
        "a backlog is full one job too early",
        "04_limits",
        "if q[1] and have + jobs > q[1] then",
        "if q[1] and have + jobs >= q[1] then",
    ),
    one("jobs that wait for their next attempt are no backlog", "04_limits", " + call('ZCARD', k..'y')", ""),
    one(
        "a backlog is empty",
        "04_limits",
        "return {'', int(have), q[1], int(s.bytes)",
        "return {'', '0', q[1], int(s.bytes)",
    ),
    one(
        "a tenant that drains takes on work",
        "04_limits",
        "if has(s, F.draining) then return",
        "if false then return",
    ),
    Mutation {
        why: "the virtual clock goes back to whoever is served",
        patch: patch("fetch", "if v > v0 then call('SET'", "if v ~= v0 then call('SET'"),
        more: &[
            patch("fetch", "  if s.vt < v then s.vt = v end\n", ""),
            patch("00_tenants", "if s.vt < v then s.vt = v end -- no credit", "-- no credit"),
        ],
    },
];
