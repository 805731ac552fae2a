-- Ticks a task off, or makes it undone. A task of another list is not there: zero rows are changed.
-- @secret

-- @skip
SELECT set_config('todo.list', :list, true);

-- @result changed
UPDATE tasks SET done = :done := true WHERE id = :id;
