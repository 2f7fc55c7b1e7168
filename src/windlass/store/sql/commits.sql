-- name: pushes
SELECT repo AS repository, ref, old_sha AS before, new_sha AS sha, pusher, pusher_kind, at FROM pushes
WHERE new_sha >= :low AND new_sha < :high ORDER BY id LIMIT 50;

-- name: carried
SELECT i.delivery, u.id AS run, u.title, u.sha, u.repository FROM delivery_images i
JOIN run_images r ON r.digest = i.digest
JOIN runs u ON u.id = r.run
WHERE i.delivery BETWEEN :oldest AND :newest ORDER BY u.id;
