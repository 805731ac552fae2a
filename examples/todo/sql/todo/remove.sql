-- Removes a task from a list. A task of another list is not there: zero rows are changed.
-- @secret

-- @skip
SELECT set_config('todo.list', :list, true);

-- @result changed
DELETE FROM tasks WHERE id = :id;
