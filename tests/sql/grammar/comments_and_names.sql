SELECT /* :no /* nested :no */ ' :no */ 1 AS ":no", -- :no ' "
       :yes::int AS yes /* ' */
