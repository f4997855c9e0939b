"""Small documents written by hand, with questions as a stranger might ask them; None: the document does not say."""

DOCUMENTS = [
    (
        """Camping trip, 14-17 August

Site: Lakeside Meadow near Ullswater, pitch 27. Check-in is after 2 pm, and the gate closes at 10 pm. Priya is bringing the big tent and Tom has the stove. The deposit of 60 pounds was paid by Hannah on 3 June. Dogs are allowed but must stay on a lead. If it rains we go to the climbing hall in Kendal.""",
        [
            ("Which pitch do we have?", "27"),
            ("who is bringing the stove", "Tom"),
            ("How much was the deposit?", "60 pounds"),
            ("When does the gate close?", "10 pm"),
            ("Where do we go if it rains?", "Kendal"),
            ("what is the phone number of the campsite?", None),
        ],
    ),
    (
        """# tinyqueue

A small job queue for Rust programs.

- Version: 0.9.3
- Licence: MIT
- Maintainer: Saoirse Oyelaran <saoirse@tinyqueue.dev>
- Minimum supported Rust version: 1.74

## Configuration

`TQ_WORKERS` sets the number of worker threads (default: 4). `TQ_TIMEOUT` is the job timeout in seconds and defaults to 30. Jobs are kept in `/var/lib/tinyqueue`. The dashboard listens on port 7071.""",
        [
            ("What license is it under?", "MIT"),
            ("default of TQ_TIMEOUT?", "30"),
            ("On which port is the dashboard?", "7071"),
            ("Who maintains tinyqueue?", "Saoirse Oyelaran"),
            ("Where are jobs stored?", "/var/lib/tinyqueue"),
            ("which rust version do I need", "1.74"),
        ],
    ),
    (
        """From: Bartholomew Nkemelu
To: Facilities
Subject: broken heater in room 4.12

Hello, the heater in room 4.12 has been cold since Monday. Ms. Vandenberghe from the second floor reported the same for room 2.07. Could someone come before Thursday? My extension is 3318. The spare key is at the porter's lodge.

Thanks,
Bartholomew""",
        [
            ("Who wrote the email?", "Bartholomew Nkemelu"),
            ("What is broken in room 4.12?", "heater"),
            ("extension of Bartholomew", "3318"),
            ("Where is the spare key?", "porter's lodge"),
            ("Since when has the heater been cold?", "Monday"),
            ("Who reported room 2.07?", "Vandenberghe"),
        ],
    ),
    (
        """Grandma's plum cake

500 g flour, 200 g butter, 3 eggs, 180 g sugar, 1 kg plums, a pinch of salt. Knead the flour with the butter, add the eggs and let the dough rest for 45 minutes. Put the plums on top and bake at 190 degrees for 50 minutes. Serves 12. Grandma always used a baking tin from her sister Ottilie.""",
        [
            ("How much butter do I need?", "200 g"),
            ("At what temperature do I bake the cake?", "190"),
            ("how long must the dough rest", "45 minutes"),
            ("How many people does it serve?", "12"),
            ("Who gave Grandma the baking tin?", "Ottilie"),
            ("How many eggs?", "3"),
        ],
    ),
    (
        """name,dept,phone,city
Agnieszka Wróblewska,Finance,555-0142,Gdynia
Dmitri Halloran,Legal,555-0177,Cork
Folasade Brightwater,IT,555-0119,Ibadan
Casimir Lund,IT,555-0163,Odense""",
        [
            ("What is Folasade Brightwater's phone number?", "555-0119"),
            ("Who lives in Cork?", "Dmitri Halloran"),
            ("casimir lund city", "Odense"),
            ("Which department is Agnieszka Wróblewska in?", "Finance"),
            ("Who has the number 555-0163?", "Casimir Lund"),
            ("What is the salary of Dmitri Halloran?", None),
        ],
    ),
    (
        """Minutes, allotment society, 11 March

Present: Mr. Ogbonna (chair), Mrs. Lindgren-Hay, Pat Quillfeather, D. Sorenson. Apologies: Yusra Demir.
1. The water will be switched on again on 2 April.
2. Plot 14 has been given to Pat Quillfeather; the rent stays at 38 euros a year.
3. The shed was broken into in February. Mrs. Lindgren-Hay will buy a new lock.
4. The summer party is on 21 June at the old boathouse.
Next meeting: 6 May, 19:30, at the library.""",
        [
            ("Who chaired the meeting?", "Ogbonna"),
            ("Who got plot 14?", "Pat Quillfeather"),
            ("When is the summer party?", "21 June"),
            ("what will Mrs. Lindgren-Hay buy", "lock"),
            ("Where is the next meeting?", "library"),
            ("How much is the rent?", "38 euros"),
        ],
    ),
    (
        """server:
  host: kestrel-04.internal
  port: 8443
  tls: true
database:
  url: postgres://db7.internal/orders
  pool_size: 24
  user: svc_orders
logging:
  level: warn
  file: /srv/logs/orders.log""",
        [
            ("What is the database user?", "svc_orders"),
            ("which log level is set?", "warn"),
            ("pool size?", "24"),
            ("On which host does the server run?", "kestrel-04.internal"),
            ("Where is the log file?", "/srv/logs/orders.log"),
            ("What is the database password?", None),
        ],
    ),
    (
        """The lighthouse at Skarvøy was built in 1887 by the engineer Halvard Brekke. It stands 31 metres high and its light can be seen for 18 nautical miles. Until 1978 it was looked after by the Tollefsen family; since then it has run by itself. In 2004 it was turned into a hostel with nine beds. The hostel is run by Marit Aune, who also bakes the bread for the guests.""",
        [
            ("Who built the lighthouse?", "Halvard Brekke"),
            ("How high is the lighthouse?", "31 metres"),
            ("Who runs the hostel?", "Marit Aune"),
            ("When was it turned into a hostel?", "2004"),
            ("How far can the light be seen?", "18 nautical miles"),
            ("How many beds does the hostel have?", "nine"),
        ],
    ),
    (
        """[09:12] jo: anyone got the door code for the bike cellar?
[09:13] Mehmet: yes, it's 5820#
[09:15] jo: thx! and who has the pump
[09:16] Ludmila: I lent it to Finn from the third floor
[09:20] Mehmet: btw the landlord comes on Friday at 11 to read the meters
[09:21] Ludmila: ok. his new number is 0171 4459020""",
        [
            ("What is the door code for the bike cellar?", "5820#"),
            ("Who has the pump?", "Finn"),
            ("When does the landlord come?", "Friday"),
            ("landlord's number?", "0171 4459020"),
            ("Who told us the door code?", "Mehmet"),
        ],
    ),
    (
        """Invoice 2031-0088
Customer: Tamarind & Voss OHG
Date: 19/02/2031
Item: Walnut desk "Arvika", quantity 2, unit price 449.00 EUR
Delivery: 35.00 EUR
Total: 933.00 EUR
Pay by: 05/03/2031
IBAN: DE44 5001 0517 5407 3249 31""",
        [
            ("What is the total?", "933.00 EUR"),
            ("When do I have to pay?", "05/03/2031"),
            ("What is the unit price of the desk?", "449.00 EUR"),
            ("who is the customer", "Tamarind & Voss OHG"),
            ("give me the iban", "DE44 5001 0517 5407 3249 31"),
            ("How much is delivery?", "35.00 EUR"),
        ],
    ),
]
