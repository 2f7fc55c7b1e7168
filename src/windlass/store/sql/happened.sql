-- name: pushes
SELECT p.id, p.ref, p.old_sha, p.new_sha, p.pusher, p.pusher_kind, p.at, l.at AS planned_at,
    coalesce(l.runs, 0) AS runs, coalesce(l.reason, '') AS reason
FROM pushes p LEFT JOIN push_plans l ON l.push = p.id
WHERE p.repo = :repository AND (CAST(:before AS INTEGER) IS NULL OR p.id < :before)
ORDER BY p.id DESC LIMIT :limit;

-- name: runs_of_pushes
SELECT id, number, workflow, status, conclusion, push AS cause FROM runs
WHERE push BETWEEN :oldest AND :newest AND repository = :repository ORDER BY id;

-- name: runs_of_occurrences
SELECT id, number, workflow, status, conclusion, occurrence AS cause FROM runs
WHERE occurrence BETWEEN :oldest AND :newest AND repository = :repository ORDER BY id;
