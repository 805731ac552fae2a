-- The tasks of a list, and the topic that tells of its changes.
-- There is no WHERE: row-level security leaves the rows of the list whose key is set.
-- @secret

-- @skip
SELECT set_config('todo.list', :list, true);

-- @result topic
-- @returns value
SELECT topic_of(:list);

-- @result tasks
SELECT id, task, done FROM tasks ORDER BY id;
