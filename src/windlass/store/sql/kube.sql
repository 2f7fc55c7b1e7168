-- name: all
SELECT resource, namespace, name, version, sealed, body FROM kube_objects;

-- name: version
SELECT version FROM kube_version WHERE id = 1;

-- name: advance
UPDATE kube_version SET version = :version WHERE id = 1;

-- name: put
INSERT INTO kube_objects (resource, namespace, name, version, sealed, body)
VALUES (:resource, :namespace, :name, :version, :sealed, :body)
ON CONFLICT (resource, namespace, name) DO UPDATE
SET version = excluded.version, sealed = excluded.sealed, body = excluded.body;

-- name: delete
DELETE FROM kube_objects WHERE resource = :resource AND namespace = :namespace AND name = :name;
