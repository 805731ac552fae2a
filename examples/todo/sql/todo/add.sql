-- Adds a task to a list, and answers with its id. The column `list` has the key as its default.
-- @secret

-- @skip
SELECT set_config('todo.list', :list, true);

-- @result id
-- @returns value
INSERT INTO tasks (task) VALUES (trim(:task)) RETURNING id;
