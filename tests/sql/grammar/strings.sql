-- Strings of every kind, with what would be parameters elsewhere.
SELECT E'it\'s :no' AS a,
       U&'\0041 :no' AS b,
       ':no '' :no' AS c,
       $$ :no $$ AS d,
       $tag$ $$ :no $tag$ AS e,
       B'101'::text AS f,
       'a'
       ':no' AS g,
       :yes::text AS h
