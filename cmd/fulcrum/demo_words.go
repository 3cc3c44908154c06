package main

// The words that profiles are made of.

var firstNames = []string{
	"Ada", "Aisha", "Akira", "Alma", "Amara", "Anders", "Anika", "Anton", "Ayo", "Beatriz", "Benno", "Bruno", "Camille", "Carlos", "Chidi", "Clara",
	"Dalia", "Dario", "Dilan", "Edda", "Elif", "Emeka", "Emil", "Erik", "Esra", "Farid", "Fatima", "Felix", "Fiona", "Freya", "Gita", "Greta",
	"Hana", "Hugo", "Ibrahim", "Ines", "Ingrid", "Ivo", "Jamal", "Jana", "Javier", "Jin", "Joana", "Jonas", "Kaito", "Karim", "Kasia", "Kofi",
	"Lars", "Layla", "Leon", "Lucia", "Magda", "Malik", "Marta", "Mei", "Mika", "Mina", "Nadia", "Nia", "Nils", "Noor", "Olga", "Omar",
	"Paula", "Petra", "Priya", "Rafael", "Rania", "Ravi", "Rosa", "Samir", "Sana", "Selma", "Sofia", "Sven", "Tariq", "Tessa", "Thandi", "Tomas",
	"Uma", "Valeria", "Viktor", "Wanda", "Wei", "Xenia", "Yara", "Yusuf", "Zainab", "Zoe",
}

var lastNames = []string{
	"Abara", "Adeyemi", "Ahmadi", "Almeida", "Andersson", "Bakker", "Banerjee", "Barros", "Becker", "Bergman", "Bianchi", "Brandt", "Castillo", "Chen", "Costa",
	"Dahl", "Demir", "Diallo", "Dubois", "Eriksen", "Farouk", "Fischer", "Fontana", "Fournier", "Garcia", "Gupta", "Haddad", "Hansen", "Hoffmann", "Horvat",
	"Ito", "Ivanova", "Jansen", "Kaya", "Keller", "Khan", "Kimura", "Kovacs", "Kowalski", "Kruger", "Larsen", "Lehmann", "Lindqvist", "Lopez", "Mahlangu",
	"Marin", "Mbeki", "Mehta", "Moreau", "Moretti", "Nakamura", "Navarro", "Ndiaye", "Novak", "Okafor", "Olsen", "Ortega", "Papadakis", "Park", "Pereira",
	"Petrov", "Popescu", "Rahman", "Reyes", "Ribeiro", "Rossi", "Saito", "Santos", "Schneider", "Sharma", "Silva", "Sokolov", "Takahashi", "Tanaka", "Toth",
	"Tran", "Vargas", "Visser", "Wagner", "Weber", "Wong", "Yamada", "Yilmaz", "Zhang",
}

// cities are names of cities with their country's code.
var cities = [][2]string{
	{"Accra", "GH"}, {"Ankara", "TR"}, {"Athens", "GR"}, {"Auckland", "NZ"}, {"Bangalore", "IN"}, {"Barcelona", "ES"}, {"Bergen", "NO"}, {"Berlin", "DE"},
	{"Bogotá", "CO"}, {"Bologna", "IT"}, {"Brno", "CZ"}, {"Bucharest", "RO"}, {"Buenos Aires", "AR"}, {"Cape Town", "ZA"}, {"Casablanca", "MA"}, {"Chicago", "US"},
	{"Copenhagen", "DK"}, {"Dakar", "SN"}, {"Dublin", "IE"}, {"Gdańsk", "PL"}, {"Ghent", "BE"}, {"Hanoi", "VN"}, {"Helsinki", "FI"}, {"Izmir", "TR"},
	{"Kyoto", "JP"}, {"Lagos", "NG"}, {"Leeds", "GB"}, {"Lima", "PE"}, {"Lisbon", "PT"}, {"Ljubljana", "SI"}, {"Lyon", "FR"}, {"Malmö", "SE"},
	{"Melbourne", "AU"}, {"Montreal", "CA"}, {"Mumbai", "IN"}, {"Nairobi", "KE"}, {"Osaka", "JP"}, {"Porto", "PT"}, {"Portland", "US"}, {"Recife", "BR"},
	{"Rotterdam", "NL"}, {"Santiago", "CL"}, {"São Paulo", "BR"}, {"Seoul", "KR"}, {"Singapore", "SG"}, {"Taipei", "TW"}, {"Turin", "IT"}, {"Zürich", "CH"},
}

var trades = []string{
	"Architect", "Bookbinder", "Carpenter", "Cartographer", "Cellist", "Chemist", "Data analyst", "Dentist", "Editor", "Electrician", "Engineer", "Florist",
	"Gardener", "Geologist", "Illustrator", "Journalist", "Librarian", "Marine biologist", "Midwife", "Nurse", "Optician", "Pastry cook", "Photographer",
	"Physicist", "Pilot", "Potter", "Product designer", "Radio producer", "Sailmaker", "Schoolteacher", "Sound engineer", "Surveyor", "Translator", "Watchmaker",
}

var pastimes = []string{
	"baking rye bread", "bird watching", "building radios", "chess by post", "collecting maps", "cooking for twelve", "cycling over mountain passes",
	"drawing trains", "fixing old cameras", "growing tomatoes", "keeping bees", "knitting socks", "long walks in the rain", "mending clocks", "open-water swimming",
	"playing the accordion", "reading crime novels", "repairing bicycles", "restoring furniture", "rowing", "singing in a choir", "stargazing", "wild camping",
}

var habits = []string{
	"Up before the sun most days.", "Never without a notebook.", "Answers letters, forgets messages.", "Believes in maps made of paper.", "Counts stairs.",
	"Drinks too much tea.", "Has opinions about fonts.", "Knows the ferry timetable by heart.", "Learning to whistle.", "Takes the slow train on purpose.",
	"Still owns a typewriter.", "Writes lists and loses them.", "Will talk about the weather.", "Keeps three spare umbrellas.",
}

var plans = []string{"free", "free", "free", "free", "starter", "starter", "team", "business"}
