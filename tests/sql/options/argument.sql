-- @param x int
SELECT :x AS x
