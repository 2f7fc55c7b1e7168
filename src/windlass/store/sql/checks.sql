-- name: unplanned
SELECT 1 AS found FROM repo_events e LEFT JOIN occurrences o ON o.key = 'event/' || e.id
WHERE e.repository = :repository AND e.sha = :sha AND e.created_at > :since AND o.planned_at IS NULL
UNION ALL
SELECT 1 AS found FROM pushes p LEFT JOIN push_plans l ON l.push = p.id
WHERE p.repo = :repository AND p.new_sha = :sha AND p.at > :since AND l.push IS NULL
LIMIT 1;
