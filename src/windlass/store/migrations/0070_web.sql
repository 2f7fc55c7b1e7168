CREATE INDEX pushes_commit ON pushes (new_sha);
