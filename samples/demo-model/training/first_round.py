"""Synthetic long-context question answering data for the Skim demo model.

Every template and word list in this file was written for this project. A sample is a chat:
documents with facts, near-duplicate distractors and filler, one or more questions, short answers.

    World      invents entities and their attribute values and renders them into documents
    Builder    turns a world into chat messages of an exact token length
    row          training rows (token ids, loss classes, positions)
    eval_case  one held-out evaluation case (held-out names, paraphrases, and one held-out genre)
"""

import json
import random
from dataclasses import dataclass

MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday".split()

# ----------------------------------------------------------------------------- word pools
FIRST = (
    "Mara Elena Tomas Victor Priya Noor Henrik Sofia Lucas Amara Dieter Ingrid Marcus Leila Oscar Petra Rafael "
    "Sanna Theo Ursula Wanda Yusuf Zara Albert Bianca Carlos Dana Edwin Farah Gustav Hanna Ivan Joanna Karim Lydia "
    "Milan Nadia Otto Paula Quentin Rosa Samuel Tara Umar Vera Walter Xenia Yvonne Anton Beatrice Cedric Daphne Emil "
    "Fiona Gareth Helen Isaac Jasmine Kurt Laura Martin Nina Omar Peter Rachel Simon Tessa Ulrich Vivian William Agnes "
    "Boris Clara David Esther Frank Grace Hugo Irene James Kate Leon Monica Nathan Olga Philip Rebecca Stefan Teresa "
    "Vincent Alice Bruno Celia Daniel Eva Felix Gloria Harold Iris Jonas Kira Louis Mabel Norman Oriana Patrick Ruth "
    "Sergei Thelma Andre Brenda Conrad Doris Ernest Flora Gordon Heidi Igor Judith Kenneth Lorna Morris Nora Owen Pearl "
    "Roland Sylvia Trevor Una Vernon Abigail Basil Camille Duncan Edith Francis Gemma Hector Ida Julian Kirsten Lionel "
    "Miriam Neil Opal Percy Rhoda Stanley Tilda"
).split()
LAST = (
    "Ellison Okafor Lindqvist Moreau Hartmann Petrov Nakamura Alvarez Brennan Castillo Dubois Eriksen Fontaine Gallagher "
    "Holloway Ibarra Jensen Kowalski Larsen Mbeki Novak Ortega Pellegrini Quigley Rossi Schneider Takahashi Ulrich Vasquez "
    "Whitaker Yamada Zimmerman Abbott Barlow Crane Dawson Emery Foster Griffin Hale Ingram Jarvis Keller Lambert Mercer "
    "Norwood Osborne Pratt Ramsey Sutton Thorpe Underwood Vaughn Webster York Adler Bishop Carver Dunn Everett Fletcher "
    "Goddard Hobbs Irving Joyce Kemp Langley Marsh Nash Oakes Parrish Reeves Shaw Tate Upton Vance Wade Archer Bolton "
    "Chandler Drake Eastman Finch Gibbs Hanson Ivers Jordan Knox Lowell Maddox Nolan Owens Porter Radcliffe Stokes Turner "
    "Usher Vernon Walsh Atwood Beck Collier Dixon Elliott Farrell Garner Hutchins Kirby Lockwood Monroe Newton Orton Palmer "
    "Redfern Sinclair Talbot Winslow Ashby Benton Corbett Dalton Ewing Forsythe Granger Huxley Ives Kendall Lister Merrick "
    "Neville Orwin Prescott Rutledge Sherwood Thornton Varga Wexler Banerjee Chaudhry Diallo Eze Fischer Gupta Hassan Iyer "
    "Jovanovic Khan Lopez Mehta Nguyen Oduya Park Rahman Sato Tanaka Uddin Vu Wang Zhou"
).split()
FIRST_EVAL = (
    "Adriana Callum Delphine Emeric Freya Gideon Hester Imogen Jarrod Katya Leander Maeve Nikolai Odette Piers Rowena "
    "Silas Tamsin Ulric Verity Wilfred Yara Zoltan Aurelio Bettina Corwin Davina Elspeth Florian Greta"
).split()
LAST_EVAL = (
    "Abernathy Blackwood Cavendish Delacroix Esterhazy Fairchild Greenough Hawthorne Ivanenko Jablonski Kingsley Lovelace "
    "Montague Nightingale Oppenheim Pemberton Quartermain Ravenscroft Silverstein Tregarth Umberto Valentine Wainwright "
    "Yarborough Zeller Arkwright Birtwistle Clutterbuck Dunleavy Featherstone"
).split()
CITY = (
    "London Paris Madrid Oslo Vienna Prague Lisbon Dublin Helsinki Warsaw Athens Zurich Geneva Hamburg Munich Milan Turin "
    "Lyon Porto Seville Bergen Malmo Gdansk Krakow Ghent Antwerp Utrecht Leeds Bristol Cardiff Glasgow Belfast Toronto "
    "Ottawa Calgary Boston Chicago Denver Seattle Houston Atlanta Nairobi Lagos Accra Cairo Tunis Mumbai Pune Chennai Osaka "
    "Kyoto Nagoya Seoul Busan Taipei Manila Jakarta Hanoi Perth Brisbane Adelaide Auckland Lima Quito Bogota Santiago "
    "Cordoba Recife Tampa Austin Dallas Omaha Tulsa Fresno Reno Boise"
).split()
CITY_EVAL = (
    "Tallinn Riga Vilnius Bratislava Ljubljana Zagreb Sofia Bucharest Salzburg Innsbruck Trondheim Uppsala Aarhus "
    "Maribor Coimbra Valencia Bilbao Nantes Rennes Dresden Leipzig Halifax Winnipeg Regina Savannah"
).split()
TOWN_START = "Hal Bren Cor Wel Ash Lang Mar Nor Stan Thorn Wes Elm Fern Gren Hol Kirk Lin Mill Oak Pen Red Sal Tar Wood Bar Cal Dun Fair Hart".split()
TOWN_END = (
    "wick ford mere ton bury dale field ham hurst leigh port stead stow worth by combe cliff gate moor bridge".split()
)
TOWN_START_EVAL = "Quill Vex Yar Ump Zeb Crick Drum Glen Snod Whist".split()
PROJ = (
    "Kestrel Osprey Falcon Heron Magpie Sparrow Condor Lynx Badger Otter Marten Cobalt Amber Granite Basalt Quartz Onyx Topaz "
    "Cedar Willow Juniper Maple Aspen Birch Monsoon Zephyr Mistral Tempest Aurora Comet Nebula Pulsar Quasar Meridian Zenith "
    "Horizon Beacon Lantern Anchor Compass Harbor Summit Ridge Canyon Delta Lagoon Glacier Tundra Prairie Orchard Meadow "
    "Saffron Indigo Crimson Scarlet Ivory Copper Silver Marble Velvet Linen Canvas Mosaic Fresco Sonata Ballad Rondo Fugue "
    "Atlas Titan Orion Vega Rigel Lyra Phoenix Griffin Pegasus Sphinx Trident Saturn Juno Ceres Pallas Vesta"
).split()
PROJ_EVAL = (
    "Albatross Cormorant Peregrine Wolverine Obsidian Malachite Sequoia Hawthorn Sirocco Eclipse Solstice Equinox Lighthouse "
    "Causeway Fjord Savanna Vermilion Turquoise Tapestry Nocturne Andromeda Cassiopeia Minotaur Hydra"
).split()
BRAND = (
    "Velto Aerwin Nordix Calyx Brio Mantis Solara Tekno Ferrox Lumen Pulsar Zenit Orbit Kappa Delmar Ravina Sentry Quanta Helio "
    "Vortex Apex Nimbus Strata Polaris Verdo Arden Cirrus Domo Ember Frost Gleam Hydra Inka Jolt Krona Lyric Mono"
).split()
BRAND_EVAL = "Xantor Wyvern Thessaly Umbral Ozmo Pyxis Skarn Yodel Zircon Crux Bluejay Axiom".split()
ORG_END = (
    "Logistics Holdings Partners Industries Systems Foods Textiles Shipping Energy Insurance Consulting Media Pharma Steel "
    "Motors Chemicals Timber Bakeries Airways Publishing"
).split()
COLOR = "red blue green yellow black white grey orange purple brown silver teal maroon navy beige turquoise".split()
ROLE = (
    "accountant,data analyst,site engineer,office manager,head of sales,security officer,graphic designer,legal counsel,"
    "payroll clerk,network administrator,quality inspector,warehouse supervisor,purchasing agent,chief of staff,"
    "training coordinator,technical writer,laboratory assistant,product owner,field technician,press officer,"
    "facilities manager,translator,database administrator,research fellow"
).split(",")
DRINK = "green tea,black coffee,ginger beer,apple juice,mint tea,hot chocolate,lemonade,tomato juice,oat latte,espresso,sparkling water,iced tea,mango lassi,cider,orange squash,chai".split(
    ","
)
CAUSE = (
    "a loose cable,an expired certificate,a full disk,a faulty power supply,a wrong firewall rule,a failed database migration,"
    "a memory leak,a burst water pipe,an unplanned restart,a mistyped hostname,a broken fan,a stale cache,a clock drift,"
    "a duplicate address,a blown fuse,a missing index,a corrupted backup,an overloaded queue"
).split(",")
SERVICE = "billing gateway,mail relay,login page,search index,payment service,photo archive,booking system,print server,phone exchange,backup cluster,web shop,reporting portal,ticket desk,badge system,file store,staging cluster".split(
    ","
)
ITEM = (
    "copper washers,steel hinges,rubber gaskets,brass valves,oak planks,glass beakers,paper rolls,nylon ropes,cotton gloves,iron "
    "brackets,plastic crates,ceramic tiles,leather straps,wool blankets,tin buckets,foam pads,zinc screws,cork boards,felt pads,"
    "wax seals,chalk boxes,drill bits,paint brushes,lamp shades,door handles,hex bolts,fuse boxes,air filters,pump hoses,"
    "drive belts,cable ties,safety helmets,garden hoses,ink cartridges,shelf clips,light bulbs,curtain rails,spring clamps"
).split(",")
ITEM_EVAL = "walnut veneers,titanium rods,silk ribbons,granite slabs,bamboo poles,quartz lenses,velvet cushions,pewter mugs,sisal mats,graphite rods,linen sheets,amber vials".split(
    ","
)
DISH = "lamb stew,mushroom soup,grilled trout,lentil curry,plum dumplings,fish pie,roast duck,onion tart,bean salad,rice pudding,pork noodles,cheese fondue,pepper omelette,pumpkin bread,clam chowder,beet soup".split(
    ","
)
TRANS = "ferry,night train,rental car,coach,bicycle,river boat,cable car,motorbike,horse cart,taxi,tram,seaplane,camper van".split(
    ","
)
PET = "Biscuit Pepper Mango Toffee Shadow Rusty Clover Domino Gizmo Hazel Jasper Marble Nutmeg Olive Pickle Quincy Smudge Truffle Waffle Ziggy".split()
PLANT = "tulips,roses,pumpkins,lavender,tomatoes,peonies,beans,sunflowers,dahlias,strawberries,thyme,cabbages,orchids,figs,leeks,radishes".split(
    ","
)
GIFT = "a silver watch,a wool scarf,a box of pears,a chess set,a blue teapot,a fountain pen,a jar of honey,a leather satchel,a music box,a brass compass,a picture frame,a walking stick,a fruit cake,a pair of gloves,a map of Spain,a clay vase".split(
    ","
)
STREET = "Mill Lane,Harbour Street,Station Road,Church Row,Orchard Way,Canal Walk,Market Square,Foundry Lane,Garden Terrace,Bridge Street,Victoria Road,Cooper Avenue,Lime Grove,Quarry Hill,Baker Lane,Pine Street".split(
    ","
)
INSTR = "mass spectrometer,optical microscope,infrared camera,flow meter,torsion balance,gas chromatograph,laser scanner,pressure cell,x-ray tube,digital caliper,pH probe,viscometer".split(
    ","
)
STATUS = "on hold,on track,delayed,finished,under review,cancelled,in testing,awaiting approval,ahead of schedule,in pilot".split(
    ","
)
LAW = "England,Scotland,Ireland,France,Germany,Denmark,Norway,Spain,Ontario,Delaware,Singapore,Victoria,Belgium,Austria,Texas,Kenya".split(
    ","
)
POLICY = "Remote Work,Travel Expense,Parental Leave,Data Retention,Visitor Access,Company Car,Overtime,Training Budget,Whistleblower,Sick Leave,Clean Desk,Mobile Phone,Procurement,Bicycle Scheme,Relocation,Study Leave,Password,Social Media,Gift,Fire Safety".split(
    ","
)
POLICY_EVAL = (
    "Sabbatical,Volunteering,Laboratory Waste,Archive Access,Home Internet,Jury Duty,Lone Working,Uniform".split(",")
)
COMMITTEE = "Safety,Budget,Planning,Audit,Harbour,Library,Events,Transport,Energy,Housing,Parks,Design,Recruitment,Ethics,Archive,Catering,Roadmap,Quality,Security,Outreach".split(
    ","
)
COMMITTEE_EVAL = "Heritage,Sustainability,Scholarship,Accessibility,Festival,Waterways,Museum,Procurement".split(",")
ROOMW = "Maple Cedar Birch Willow Aspen Rowan Elm Linden Alder Poplar Hazel Cypress Larch Holly Laurel".split()
SHIP = "Marigold,Northern Star,Sea Lark,Black Swan,Morning Tide,Silver Gull,Old Alliance,Windward,Blue Heron,Coral Queen,Iron Duchess,Evening Bell,Grey Seal,Lady Florence,Polar Wren,Saint Brendan,Amber Wave,Stormcock,Merry Widow,Harbour Light".split(
    ","
)
CARGO = "timber,olive oil,coal,grain,copper ore,tea,machine parts,cotton bales,rock salt,dried fish,cement,wool,sugar,marble blocks,paper pulp,bananas".split(
    ","
)
SYLLABLES = "ba ke lo mi ru ta ve no zi dra fen gor hal jin kul lem mor nak pol quin ras sel tor vul wen xan yor zed bri cla dro fli gra plo sti tre".split()
NOUN = "report schedule budget plan review survey proposal inventory draft agenda checklist roadmap contract estimate forecast summary archive record".split()
ADJ = "quarterly revised early detailed short final annual updated second preliminary joint informal written monthly external internal".split()
TEAM = "finance design support planning facilities logistics research sales legal security training editorial maintenance purchasing".split()

FILL = [
    "The {team} team met on {day} to go over the {adj} {noun}.",
    "Nobody objected to the {adj} {noun}, and the matter was closed.",
    "A copy of the {noun} was sent to the {team} team before lunch.",
    "Most of the discussion was about the {noun} and the weather.",
    "It was agreed that the {adj} {noun} could wait until {month}.",
    "The coffee machine on the second floor is being repaired again.",
    "Several people asked for more time to read the {adj} {noun}.",
    "Please keep the corridor clear while the painters are at work.",
    "The {team} team thanked everyone who had helped with the {noun}.",
    "Parking will be limited on {day} because of the street market.",
    "There were some small corrections to the {noun}, mostly spelling.",
    "The windows on the north side should stay closed in winter.",
    "Questions about the {noun} should go to the {team} team.",
    "Any {adj} {noun} is usually longer than it needs to be.",
    "The old {noun} has been moved to the archive in the basement.",
    "On {day} the lift was out of order for most of the morning.",
    "In {month} the {team} team will move to the new wing.",
    "The rest of the page was left blank on purpose.",
    "Everyone is reminded to lock the cabinets before going home.",
    "We expect the {adj} {noun} to be ready by the end of {month}.",
    "The {team} team has promised the {adj} {noun} before {month}.",
    "Lunch was served at noon and the talk went on afterwards.",
    "Some of the older figures in the {noun} could not be checked.",
    "The visitors walked through the building and took photographs.",
    "It rained for most of {day}, and the roof held up well.",
    "A short break followed, and then the {noun} was read aloud.",
    "The {noun} was signed, scanned and filed on the same {day}.",
    "Further details will be given in the {adj} {noun}.",
    "The library is open to all staff from {day} onwards.",
    "As in earlier years, the {team} team prepared the {adj} {noun}.",
    "The numbers were read twice and found to be in order.",
    "A new printer was delivered, but it has not been unpacked yet.",
    "The garden behind the canteen was replanted in {month}.",
    "He said that the {noun} had been lying on the desk since {day}.",
    "She promised to bring the {adj} {noun} to the next meeting.",
    "The train was late, so the first hour was lost.",
    "After some thought the {team} team decided to keep the {noun} as it was.",
    "None of this changes what was agreed in {month}.",
    "The road along the river was closed, and we took the long way round.",
    "Dinner was late, but nobody seemed to mind.",
    "We walked back through the old town and slept well.",
    "The instructions should be read in full before the first use.",
    "Do not place the device near a heater or in direct sunlight.",
    "Clean the surface with a dry cloth and let it cool down.",
    "The measurements were repeated on {day} and gave the same picture.",
    "The method is described in the {adj} {noun} and is not repeated here.",
    "All parts were counted by hand and entered in the {noun}.",
    "Both parties keep a signed copy of this {noun}.",
]


# ----------------------------------------------------------------------------- value generators
RARE = []  # word pieces of the vocabulary; filled by second_round.load_pieces for the second round (empty in the first round and for its evaluation sets)
WORDS = ["lantern", "harbour", "window"]  # replaced by the vocabulary of the prose (see Builder)


def words_of(prose):
    """Plain words of the natural text: used for made-up names, values, attributes and noise in questions."""
    seen = {}
    for p in prose[::3]:
        for w in p.split():
            w = w.strip('.,;:!?"()-')
            if 3 <= len(w) <= 11 and w.isascii() and w.isalpha() and w.islower():
                seen[w] = seen.get(w, 0) + 1
    return [w for w, n in seen.items() if n > 1] or WORDS


class Values:
    """Random values of one world: people, places, codes, dates, amounts."""

    def __init__(self, rng, held):
        self.rng, self.held = rng, held
        self.first_names = FIRST_EVAL if held else FIRST
        self.last_names = LAST_EVAL if held else LAST
        if rng.random() < 0.35:  # a small pool: many people share first or last names
            self.first_names, self.last_names = rng.sample(self.first_names, 12), rng.sample(self.last_names, 14)
        self.syn = 0.0 if held else rng.choice((0.1, 0.4, 0.7, 0.9))
        self.open = 0.0 if held else rng.choice((0.1, 0.3, 0.6))
        self.cp = rng.choice(("", "", "INC", "KX", "AB", "HL")) if rng.random() < 0.5 else ""

    def syllables(self):
        """A made-up capitalised word."""
        rng = self.rng
        if RARE and rng.random() < 0.5:
            return "".join(rng.choice(RARE) for _ in range(rng.choice((1, 2, 2, 3)))).lower().capitalize()
        k = rng.random()
        if k < 0.4:
            return rng.choice(WORDS).capitalize()
        if k < 0.7:
            return "".join(
                rng.choice("bcdfghjklmnprstvwz")
                + rng.choice("aeiou")
                + rng.choice(("", "", "n", "r", "s", "l", "th", "ck"))
                for _ in range(rng.choice((2, 2, 3)))
            ).capitalize()
        return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 2, 3)))).capitalize()

    def phrase(self):
        """One to three random words."""
        if RARE and self.rng.random() < 0.4:
            return " ".join(self.rng.choice(RARE) for _ in range(self.rng.choice((1, 2, 3))))
        return " ".join(self.rng.choice(WORDS) for _ in range(self.rng.choice((1, 2, 2, 3))))

    def person(self):
        """A first and a last name."""
        rng = self.rng
        if rng.random() < self.syn:
            return f"{self.syllables() if rng.random() < 0.5 else rng.choice(self.first_names)} {self.syllables()}"
        return f"{rng.choice(self.first_names)} {rng.choice(self.last_names)}"

    def town(self):
        """A town with an English-sounding or made-up name."""
        rng = self.rng
        if rng.random() < self.syn * 0.5:
            return self.syllables()
        return rng.choice(TOWN_START_EVAL if self.held else TOWN_START) + rng.choice(TOWN_END)

    def city(self):
        """A real city or a town."""
        rng = self.rng
        if rng.random() < 0.35:
            return self.town()
        return rng.choice(CITY_EVAL if self.held else CITY)

    def code(self):
        """A reference code in one of six forms."""
        rng = self.rng
        k = rng.randrange(6)
        L = lambda n: "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(n))
        D = lambda n: "".join(rng.choice("0123456789") for _ in range(n))
        if k == 0:
            return f"{L(2)}-{D(4)}"
        if k == 1:
            return f"{L(1)}{D(2)}{L(1)}"
        if k == 2:
            return f"{D(3)}-{L(2)}{D(1)}"
        if k == 3:
            return f"{L(3)}{D(3)}"
        if k == 4:
            return f"{L(1)}-{D(3)}-{D(2)}"
        return D(rng.choice((4, 5, 6)))

    def num(self, a, b):
        """A number from a up to, not including, b."""
        return str(self.rng.randrange(a, b))

    def digits(self, n):
        """A number of n digits."""
        return str(self.rng.randrange(10 ** (n - 1), 10**n))

    def date(self):
        """A date such as 7 June 2019."""
        rng = self.rng
        return f"{rng.randrange(1, 29)} {rng.choice(MONTHS)} {rng.randrange(1998, 2032)}"

    def money(self):
        """A round sum in dollars."""
        rng = self.rng
        n = rng.randrange(11, 9990)
        if rng.random() < 0.6:
            n *= rng.choice((10, 100, 1000))
        return f"${n:,}"

    def price(self):
        """A price in dollars and cents."""
        return f"${self.rng.randrange(2, 900)}.{self.rng.randrange(0, 100):02d}"

    def year(self):
        """A year."""
        return str(self.rng.randrange(1890, 2031))

    def org(self):
        """A company."""
        rng = self.rng
        base = rng.choice(self.last_names) if rng.random() < 0.6 else self.town()
        return f"{base} {rng.choice(ORG_END)}"

    def word(self):
        """A lower-case word for passwords and keys."""
        rng = self.rng
        k = rng.random()
        if k < 0.5:
            return rng.choice(PROJ_EVAL if self.held else PROJ).lower()
        if k < 0.8:
            return self.syllables().lower()
        return rng.choice(self.last_names).lower()

    def project(self):
        """A project with one or two names."""
        rng, P = self.rng, (PROJ_EVAL if self.held else PROJ)
        k = rng.random()
        if k < self.syn * 0.6:
            return f"Project {self.syllables()}"
        if k < 0.6:
            return f"Project {rng.choice(P)}"
        return f"Project {rng.choice(P)} {rng.choice(P)}"

    def product(self):
        """A brand with a model number."""
        rng = self.rng
        b = self.syllables() if rng.random() < self.syn else rng.choice(BRAND_EVAL if self.held else BRAND)
        return f"{b} {rng.choice(('', 'K', 'X', 'S', 'T', 'Pro ', 'Max '))}{rng.randrange(1, 100) * rng.choice((1, 1, 10, 100))}"

    def pick(self, p):
        """One of the pool p, or now and then a random phrase instead."""
        if self.rng.random() < self.open:
            return self.phrase().capitalize() if p[0][0].isupper() else self.phrase()
        return self.rng.choice(p)


# ----------------------------------------------------------------------------- schema
# attribute: key -> (noun phrase, value maker, fact sentences, questions (the last one is held out), answer or None)
def attribute(phrase, make_value, facts, questions, answer=None):
    """An attribute of a kind of entity: noun phrase, value maker, fact sentences, questions (the last is held out), answer."""
    return dict(
        phrase=phrase,
        make_value=make_value,
        facts=facts,
        questions=questions,
        answer=answer or "The " + phrase + " of {e} is {v}.",
    )


KINDS = {
    "person": dict(
        title=["Staff handbook, section {n}", "Staff directory, page {n}", "Employee notes {n}", "HR bulletin {n}"],
        ref="this colleague",
        attrs={
            "city": attribute(
                "office location",
                lambda v: v.city(),
                [
                    "{E} works in {v}.",
                    "{E} is based in the {v} office.",
                    "Since the move, {e} has worked from {v}.",
                    "You will find {e} at our office in {v}.",
                ],
                [
                    "Where does {e} work?",
                    "In which city does {e} work?",
                    "Which office is {e} based in?",
                    "Where is the workplace of {e}?",
                ],
                "{E} works in {v}.",
            ),
            "role": attribute(
                "job title",
                lambda v: v.pick(ROLE),
                ["{E} is employed as {v}.", "The job title of {e} is {v}.", "{E} joined us as {v}."],
                [
                    "What is the job title of {e}?",
                    "What does {e} do?",
                    "What job does {e} have?",
                    "As what is {e} employed?",
                ],
            ),
            "ext": attribute(
                "phone extension",
                lambda v: v.digits(4),
                [
                    "{E} can be reached at extension {v}.",
                    "The phone extension of {e} is {v}.",
                    "To call {e}, dial {v}.",
                ],
                [
                    "What is the phone extension of {e}?",
                    "Which extension reaches {e}?",
                    "What number do I dial to call {e}?",
                    "On which extension can I reach {e}?",
                ],
            ),
            "empno": attribute(
                "employee number",
                lambda v: v.code(),
                [
                    "The employee number of {e} is {v}.",
                    "{E} has employee number {v}.",
                    "In the payroll system {e} is listed as {v}.",
                ],
                [
                    "What is the employee number of {e}?",
                    "Which employee number does {e} have?",
                    "Under which employee number is {e} listed?",
                ],
            ),
            "start": attribute(
                "start date",
                lambda v: v.date(),
                ["{E} started on {v}.", "The start date of {e} was {v}.", "{E} has been with us since {v}."],
                ["When did {e} start?", "What is the start date of {e}?", "Since when has {e} been with the company?"],
            ),
            "boss": attribute(
                "manager",
                lambda v: v.person(),
                ["{E} reports to {v}.", "The manager of {e} is {v}.", "{V} is the line manager of {e}."],
                ["Who is the manager of {e}?", "Who does {e} report to?", "Which person manages {e}?"],
            ),
            "drink": attribute(
                "favourite drink",
                lambda v: v.pick(DRINK),
                ["{E} always orders {v}.", "The favourite drink of {e} is {v}.", "At parties {e} only drinks {v}."],
                ["What is the favourite drink of {e}?", "What does {e} like to drink?", "Which drink does {e} prefer?"],
            ),
            "desk": attribute(
                "desk number",
                lambda v: f"{v.num(1, 9)}-{v.num(100, 400)}",
                ["{E} sits at desk {v}.", "Desk {v} belongs to {e}.", "The desk number of {e} is {v}."],
                ["What is the desk number of {e}?", "At which desk does {e} sit?", "Which desk belongs to {e}?"],
            ),
        },
    ),
    "project": dict(
        title=["Project overview {n}", "Steering report {n}", "Portfolio review {n}"],
        ref="the project",
        attrs={
            "lead": attribute(
                "lead",
                lambda v: v.person(),
                [
                    "{E} is led by {v}.",
                    "{V} leads {e}.",
                    "The lead of {e} is {v}.",
                    "Responsibility for {e} lies with {v}.",
                ],
                ["Who leads {e}?", "Who is the lead of {e}?", "Who is in charge of {e}?", "Which person runs {e}?"],
            ),
            "budget": attribute(
                "budget",
                lambda v: v.money(),
                ["The budget of {e} is {v}.", "{E} was given a budget of {v}.", "The board set aside {v} for {e}."],
                [
                    "What is the budget of {e}?",
                    "How much money does {e} have?",
                    "How much was set aside for {e}?",
                    "How large is the budget of {e}?",
                ],
            ),
            "deadline": attribute(
                "deadline",
                lambda v: v.date(),
                ["The deadline of {e} is {v}.", "{E} must be finished by {v}.", "{E} is due on {v}."],
                ["What is the deadline of {e}?", "When is {e} due?", "By when must {e} be finished?"],
            ),
            "client": attribute(
                "client",
                lambda v: v.org(),
                ["{E} is carried out for {v}.", "The client of {e} is {v}.", "{V} ordered {e}."],
                ["Who is the client of {e}?", "Which company ordered {e}?", "For which client is {e} carried out?"],
            ),
            "status": attribute(
                "status",
                lambda v: v.pick(STATUS),
                ["{E} is currently {v}.", "The status of {e} is {v}.", "As of this week {e} is {v}."],
                ["What is the status of {e}?", "How is {e} doing?", "What state is {e} in?"],
            ),
            "site": attribute(
                "location",
                lambda v: v.city(),
                ["The work on {e} takes place in {v}.", "{E} is located in {v}.", "The team behind {e} sits in {v}."],
                ["What is the location of {e}?", "Where does {e} take place?", "In which city is {e} located?"],
            ),
        },
    ),
    "product": dict(
        title=["Product manual, chapter {n}", "Product catalogue {n}", "Data sheet {n}"],
        ref="the device",
        attrs={
            "price": attribute(
                "price",
                lambda v: v.price(),
                ["The {e} costs {v}.", "The price of the {e} is {v}.", "We sell the {e} for {v}."],
                ["What is the price of the {e}?", "How much does the {e} cost?", "What do I have to pay for the {e}?"],
                "The price of the {e} is {v}.",
            ),
            "weight": attribute(
                "weight",
                lambda v: f"{v.num(1, 90)}.{v.num(0, 10)} kg",
                ["The {e} weighs {v}.", "The weight of the {e} is {v}.", "With batteries the {e} weighs {v}."],
                ["What is the weight of the {e}?", "How much does the {e} weigh?", "How heavy is the {e}?"],
                "The weight of the {e} is {v}.",
            ),
            "warranty": attribute(
                "warranty period",
                lambda v: f"{v.num(3, 99)} months",
                [
                    "The {e} has a warranty of {v}.",
                    "The warranty period of the {e} is {v}.",
                    "Repairs of the {e} are free for {v}.",
                ],
                [
                    "What is the warranty period of the {e}?",
                    "How long is the warranty of the {e}?",
                    "For how long is the {e} under warranty?",
                ],
                "The warranty period of the {e} is {v}.",
            ),
            "battery": attribute(
                "battery life",
                lambda v: f"{v.num(2, 99)} hours",
                [
                    "The battery of the {e} lasts {v}.",
                    "The battery life of the {e} is {v}.",
                    "On one charge the {e} runs for {v}.",
                ],
                [
                    "What is the battery life of the {e}?",
                    "How long does the battery of the {e} last?",
                    "How long does the {e} run on one charge?",
                ],
                "The battery life of the {e} is {v}.",
            ),
            "colour": attribute(
                "colour",
                lambda v: v.pick(COLOR),
                ["The {e} comes in {v}.", "The colour of the {e} is {v}.", "The housing of the {e} is {v}."],
                ["What is the colour of the {e}?", "Which colour is the {e}?", "In what colour does the {e} come?"],
                "The colour of the {e} is {v}.",
            ),
            "firmware": attribute(
                "firmware version",
                lambda v: f"{v.num(1, 12)}.{v.num(0, 20)}.{v.num(0, 40)}",
                [
                    "The {e} ships with firmware {v}.",
                    "The firmware version of the {e} is {v}.",
                    "The newest firmware for the {e} is {v}.",
                ],
                [
                    "What is the firmware version of the {e}?",
                    "Which firmware does the {e} ship with?",
                    "What version of the firmware is on the {e}?",
                ],
                "The firmware version of the {e} is {v}.",
            ),
            "factory": attribute(
                "place of manufacture",
                lambda v: v.city(),
                [
                    "The {e} is made in {v}.",
                    "The {e} is built at our plant in {v}.",
                    "The place of manufacture of the {e} is {v}.",
                ],
                [
                    "Where is the {e} made?",
                    "What is the place of manufacture of the {e}?",
                    "In which city is the {e} built?",
                ],
                "The {e} is made in {v}.",
            ),
        },
    ),
    "site": dict(
        title=["Building guide {n}", "Site information {n}", "Facilities note {n}"],
        ref="the site",
        attrs={
            "opened": attribute(
                "opening year",
                lambda v: v.year(),
                ["{E} opened in {v}.", "The opening year of {e} is {v}.", "{E} has been in use since {v}."],
                ["When did {e} open?", "What is the opening year of {e}?", "In what year was {e} opened?"],
            ),
            "staff": attribute(
                "number of employees",
                lambda v: v.num(12, 2400),
                [
                    "{E} has {v} employees.",
                    "The number of employees of {e} is {v}.",
                    "At {e} there are {v} people on the payroll.",
                ],
                [
                    "How many employees does {e} have?",
                    "What is the number of employees of {e}?",
                    "How many people work at {e}?",
                ],
            ),
            "street": attribute(
                "address",
                lambda v: f"{v.num(1, 200)} {v.pick(STREET)}",
                ["{E} is at {v}.", "The address of {e} is {v}.", "Mail for {e} goes to {v}."],
                ["What is the address of {e}?", "Where should mail for {e} go?", "At which address is {e}?"],
            ),
            "gate": attribute(
                "gate code",
                lambda v: v.code(),
                ["The gate code of {e} is {v}.", "To enter {e}, type {v} at the gate.", "{E} uses the gate code {v}."],
                [
                    "What is the gate code of {e}?",
                    "Which code opens the gate of {e}?",
                    "What do I type at the gate of {e}?",
                ],
            ),
            "caretaker": attribute(
                "caretaker",
                lambda v: v.person(),
                ["The caretaker of {e} is {v}.", "{V} looks after {e}.", "{E} is looked after by {v}."],
                ["Who is the caretaker of {e}?", "Who looks after {e}?", "Which person takes care of {e}?"],
            ),
            "wifi": attribute(
                "wifi password",
                lambda v: v.word() + v.num(10, 999),
                [
                    "The wifi password of {e} is {v}.",
                    "Guests at {e} use the wifi password {v}.",
                    "At {e} the wifi password was changed to {v}.",
                ],
                [
                    "What is the wifi password of {e}?",
                    "Which wifi password do guests use at {e}?",
                    "What password does the wifi at {e} have?",
                ],
            ),
        },
    ),
    "contract": dict(
        title=["Contract register, page {n}", "Legal summary {n}", "Agreement file {n}"],
        ref="the contract",
        attrs={
            "party": attribute(
                "counterparty",
                lambda v: v.org(),
                ["{E} was concluded with {v}.", "The counterparty of {e} is {v}.", "The other party to {e} is {v}."],
                [
                    "Who is the counterparty of {e}?",
                    "With whom was {e} concluded?",
                    "Which company is the other party to {e}?",
                ],
            ),
            "value": attribute(
                "value",
                lambda v: v.money(),
                ["{E} is worth {v}.", "The value of {e} is {v}.", "Under {e} a total of {v} is payable."],
                ["What is the value of {e}?", "How much is {e} worth?", "What total is payable under {e}?"],
            ),
            "signed": attribute(
                "signing date",
                lambda v: v.date(),
                ["{E} was signed on {v}.", "The signing date of {e} is {v}.", "Both parties signed {e} on {v}."],
                ["When was {e} signed?", "What is the signing date of {e}?", "On what date did both parties sign {e}?"],
            ),
            "notice": attribute(
                "notice period",
                lambda v: f"{v.num(5, 190)} days",
                [
                    "The notice period of {e} is {v}.",
                    "{E} can be ended with {v} of notice.",
                    "Whoever wants to leave {e} must give {v} of notice.",
                ],
                [
                    "What is the notice period of {e}?",
                    "How much notice does {e} require?",
                    "With what notice can {e} be ended?",
                ],
            ),
            "law": attribute(
                "governing law",
                lambda v: "the law of " + v.pick(LAW),
                ["{E} is governed by {v}.", "The governing law of {e} is {v}.", "Disputes about {e} fall under {v}."],
                [
                    "What is the governing law of {e}?",
                    "Which law governs {e}?",
                    "Under which law do disputes about {e} fall?",
                ],
            ),
            "signer": attribute(
                "signatory",
                lambda v: v.person(),
                ["{V} signed {e} for our side.", "The signatory of {e} is {v}.", "{E} bears the signature of {v}."],
                ["Who signed {e}?", "Who is the signatory of {e}?", "Whose signature is on {e}?"],
            ),
        },
    ),
    "incident": dict(
        title=["Incident report {n}", "Outage summary {n}", "Operations log {n}"],
        ref="the incident",
        attrs={
            "cause": attribute(
                "cause",
                lambda v: v.pick(CAUSE),
                [
                    "{E} was caused by {v}.",
                    "The cause of {e} was {v}.",
                    "The root cause behind {e} turned out to be {v}.",
                ],
                ["What caused {e}?", "What was the cause of {e}?", "What was behind {e}?"],
                "The cause of {e} was {v}.",
            ),
            "minutes": attribute(
                "duration",
                lambda v: f"{v.num(3, 900)} minutes",
                ["{E} lasted {v}.", "The duration of {e} was {v}.", "It took {v} to resolve {e}."],
                ["How long did {e} last?", "What was the duration of {e}?", "How long did it take to resolve {e}?"],
                "The duration of {e} was {v}.",
            ),
            "engineer": attribute(
                "engineer on call",
                lambda v: v.person(),
                ["{V} was on call for {e}.", "The engineer on call for {e} was {v}.", "{E} was handled by {v}."],
                ["Who was on call for {e}?", "Who handled {e}?", "Which engineer dealt with {e}?"],
                "The engineer on call for {e} was {v}.",
            ),
            "service": attribute(
                "affected service",
                lambda v: "the " + v.pick(SERVICE),
                ["{E} affected {v}.", "The affected service of {e} was {v}.", "During {e}, {v} was down."],
                [
                    "What did {e} affect?",
                    "Which service was down during {e}?",
                    "What was the affected service of {e}?",
                    "Which service suffered from {e}?",
                ],
                "The affected service of {e} was {v}.",
            ),
            "date": attribute(
                "date",
                lambda v: v.date(),
                ["{E} happened on {v}.", "The date of {e} was {v}.", "{E} was opened on {v}."],
                ["When did {e} happen?", "What was the date of {e}?", "On which day was {e} opened?"],
                "The date of {e} was {v}.",
            ),
        },
    ),
    "meeting": dict(
        title=["Meeting minutes {n}", "Notes of the session, sheet {n}", "Protocol {n}"],
        ref="the committee",
        attrs={
            "chair": attribute(
                "chair",
                lambda v: v.person(),
                ["{E} was chaired by {v}.", "The chair of {e} is {v}.", "{V} took the chair of {e}."],
                ["Who is the chair of {e}?", "Who chaired {e}?", "Which person leads {e}?"],
            ),
            "room": attribute(
                "meeting room",
                lambda v: f"the {v.pick(ROOMW)} Room",
                ["{E} met in {v}.", "The meeting room of {e} is {v}.", "{E} gathers in {v}."],
                ["What is the meeting room of {e}?", "Where did {e} meet?", "In which room does {e} gather?"],
            ),
            "next": attribute(
                "next meeting date",
                lambda v: v.date(),
                [
                    "{E} will meet again on {v}.",
                    "The next meeting date of {e} is {v}.",
                    "The next session of {e} is planned for {v}.",
                ],
                [
                    "When will {e} meet again?",
                    "What is the next meeting date of {e}?",
                    "For when is the next session of {e} planned?",
                ],
            ),
            "members": attribute(
                "number of members",
                lambda v: v.num(3, 60),
                ["{E} has {v} members.", "The number of members of {e} is {v}.", "There are {v} people on {e}."],
                [
                    "How many members does {e} have?",
                    "What is the number of members of {e}?",
                    "How many people are on {e}?",
                ],
            ),
            "grant": attribute(
                "approved sum",
                lambda v: v.money(),
                ["{E} approved {v}.", "The approved sum of {e} is {v}.", "In the vote {e} released {v}."],
                ["What is the approved sum of {e}?", "How much did {e} approve?", "What amount did {e} release?"],
            ),
        },
    ),
    "item": dict(
        title=["Inventory list {n}", "Stock sheet {n}", "Warehouse count {n}"],
        ref="these goods",
        attrs={
            "shelf": attribute(
                "shelf",
                lambda v: v.code(),
                ["The {e} are on shelf {v}.", "The shelf of the {e} is {v}.", "We keep the {e} at {v}."],
                ["On which shelf are the {e}?", "What is the shelf of the {e}?", "Where are the {e} kept?"],
                "The {e} are on shelf {v}.",
            ),
            "qty": attribute(
                "quantity",
                lambda v: v.num(2, 9000),
                ["There are {v} of the {e} in stock.", "The quantity of the {e} is {v}.", "We counted {v} of the {e}."],
                [
                    "How many of the {e} are in stock?",
                    "What is the quantity of the {e}?",
                    "How many of the {e} were counted?",
                ],
                "The quantity of the {e} is {v}.",
            ),
            "supplier": attribute(
                "supplier",
                lambda v: v.org(),
                ["The {e} are supplied by {v}.", "The supplier of the {e} is {v}.", "We buy the {e} from {v}."],
                ["Who supplies the {e}?", "What is the supplier of the {e}?", "From whom do we buy the {e}?"],
                "The supplier of the {e} is {v}.",
            ),
            "unit": attribute(
                "unit price",
                lambda v: v.price(),
                ["The {e} cost {v} each.", "The unit price of the {e} is {v}.", "For one of the {e} we pay {v}."],
                [
                    "What is the unit price of the {e}?",
                    "How much do the {e} cost each?",
                    "What do we pay for one of the {e}?",
                ],
                "The unit price of the {e} is {v}.",
            ),
            "reorder": attribute(
                "reorder level",
                lambda v: v.num(2, 700),
                [
                    "The reorder level of the {e} is {v}.",
                    "Order more of the {e} when fewer than {v} are left.",
                    "The {e} are reordered below {v} pieces.",
                ],
                [
                    "What is the reorder level of the {e}?",
                    "Below what number are the {e} reordered?",
                    "At which level must we reorder the {e}?",
                ],
                "The reorder level of the {e} is {v}.",
            ),
        },
    ),
    "trip": dict(
        title=["Travel log, day {n}", "Notes from the road {n}", "Travel diary, page {n}"],
        ref="the town",
        attrs={
            "hotel": attribute(
                "hotel",
                lambda v: f"the {v.pick(PROJ_EVAL if v.held else PROJ)} Inn",
                ["In {e} we slept at {v}.", "Our hotel in {e} was {v}.", "We booked {v} for our stay in {e}."],
                ["Where did we sleep in {e}?", "What was our hotel in {e}?", "Which inn did we book in {e}?"],
                "The hotel in {e} was {v}.",
            ),
            "nights": attribute(
                "number of nights",
                lambda v: v.num(2, 40),
                [
                    "We stayed in {e} for {v} nights.",
                    "Our stay in {e} lasted {v} nights.",
                    "After {v} nights we left {e}.",
                ],
                [
                    "How many nights did we stay in {e}?",
                    "How long was the stay in {e}?",
                    "After how many nights did we leave {e}?",
                ],
                "The stay in {e} lasted {v} nights.",
            ),
            "dish": attribute(
                "local dish",
                lambda v: v.pick(DISH),
                ["In {e} we ate {v}.", "The local dish of {e} is {v}.", "The best thing to eat in {e} was {v}."],
                ["What did we eat in {e}?", "What is the local dish of {e}?", "What was the best thing to eat in {e}?"],
            ),
            "by": attribute(
                "means of transport",
                lambda v: v.pick(TRANS),
                ["We reached {e} by {v}.", "The way to {e} was made by {v}.", "To get to {e} we took a {v}."],
                ["How did we reach {e}?", "By what means did we travel to {e}?", "What did we take to get to {e}?"],
                "The means of transport to {e} was {v}.",
            ),
            "guide": attribute(
                "guide",
                lambda v: v.person(),
                ["Our guide in {e} was {v}.", "{V} showed us around {e}.", "The guide of {e} is called {v}."],
                ["Who was our guide in {e}?", "Who showed us around {e}?", "What is the guide in {e} called?"],
                "The guide in {e} was {v}.",
            ),
        },
    ),
    "policy": dict(
        title=["Company policy, part {n}", "HR rules, section {n}", "Policy index {n}"],
        ref="the policy",
        attrs={
            "owner": attribute(
                "owner",
                lambda v: v.person(),
                ["The owner of {e} is {v}.", "{V} is responsible for {e}.", "{E} is maintained by {v}."],
                ["Who is the owner of {e}?", "Who is responsible for {e}?", "Who maintains {e}?"],
            ),
            "limit": attribute(
                "limit",
                lambda v: v.money(),
                ["{E} sets a limit of {v}.", "The limit of {e} is {v}.", "Under {e} no more than {v} is paid."],
                ["What is the limit of {e}?", "What limit does {e} set?", "What is the most that is paid under {e}?"],
            ),
            "days": attribute(
                "allowance",
                lambda v: f"{v.num(2, 120)} days",
                ["{E} allows {v} per year.", "The allowance of {e} is {v}.", "Staff may take {v} under {e}."],
                [
                    "What is the allowance of {e}?",
                    "How many days does {e} allow?",
                    "How much time may staff take under {e}?",
                ],
            ),
            "form": attribute(
                "form",
                lambda v: v.code(),
                ["Requests under {e} use form {v}.", "The form of {e} is {v}.", "Fill in form {v} to apply under {e}."],
                ["Which form belongs to {e}?", "What is the form of {e}?", "Which form do I fill in under {e}?"],
            ),
            "effective": attribute(
                "effective date",
                lambda v: v.date(),
                ["{E} took effect on {v}.", "The effective date of {e} is {v}.", "{E} has been in force since {v}."],
                [
                    "When did {e} take effect?",
                    "What is the effective date of {e}?",
                    "Since when has {e} been in force?",
                ],
            ),
        },
    ),
    "sample": dict(
        title=["Research notes {n}", "Laboratory journal, page {n}", "Experiment log {n}"],
        ref="the sample",
        attrs={
            "temp": attribute(
                "temperature",
                lambda v: f"{v.num(4, 900)} degrees",
                ["{E} was kept at {v}.", "The temperature of {e} was {v}.", "We heated {e} to {v}."],
                [
                    "What was the temperature of {e}?",
                    "At what temperature was {e} kept?",
                    "To what temperature was {e} heated?",
                ],
                "The temperature of {e} was {v}.",
            ),
            "mass": attribute(
                "mass",
                lambda v: f"{v.num(1, 300)}.{v.num(0, 100)} grams",
                ["{E} has a mass of {v}.", "The mass of {e} is {v}.", "On the scale {e} showed {v}."],
                ["What is the mass of {e}?", "Which mass does {e} have?", "What did the scale show for {e}?"],
            ),
            "instr": attribute(
                "instrument",
                lambda v: "the " + v.pick(INSTR),
                ["{E} was measured with {v}.", "The instrument used for {e} was {v}.", "We examined {e} under {v}."],
                ["What instrument was used for {e}?", "With what was {e} measured?", "Which instrument examined {e}?"],
                "The instrument used for {e} was {v}.",
            ),
            "author": attribute(
                "author",
                lambda v: v.person(),
                ["{V} prepared {e}.", "The author of {e} is {v}.", "{E} was prepared by {v}."],
                ["Who prepared {e}?", "Who is the author of {e}?", "By whom was {e} made ready?"],
            ),
            "yield": attribute(
                "yield",
                lambda v: f"{v.num(1, 99)}.{v.num(0, 10)} percent",
                ["{E} gave a yield of {v}.", "The yield of {e} was {v}.", "With {e} we reached a yield of {v}."],
                ["What was the yield of {e}?", "What yield did {e} give?", "How high was the yield with {e}?"],
                "The yield of {e} was {v}.",
            ),
        },
    ),
    "relative": dict(
        title=["Letter {n}", "Family letter, sheet {n}", "Postcard {n}"],
        ref="our friend",
        attrs={
            "pet": attribute(
                "pet",
                lambda v: v.pick(PET),
                [
                    "{E} has a pet called {v}.",
                    "The pet of {e} is named {v}.",
                    "{E} sends greetings, also from {v} the dog.",
                ],
                [
                    "What is the pet of {e} called?",
                    "What is the name of the pet of {e}?",
                    "How is the pet of {e} named?",
                ],
                "The pet of {e} is called {v}.",
            ),
            "plant": attribute(
                "garden plant",
                lambda v: v.pick(PLANT),
                ["{E} grows {v} in the garden.", "This year {e} planted {v}.", "The garden of {e} is full of {v}."],
                ["What does {e} grow in the garden?", "What did {e} plant?", "What is the garden of {e} full of?"],
                "{E} grows {v} in the garden.",
            ),
            "gift": attribute(
                "gift",
                lambda v: v.pick(GIFT),
                ["{E} sent {v} as a gift.", "The gift from {e} was {v}.", "For the birthday {e} brought {v}."],
                ["What gift did {e} send?", "What was the gift from {e}?", "What did {e} bring for the birthday?"],
                "The gift from {e} was {v}.",
            ),
            "moved": attribute(
                "new home",
                lambda v: v.city(),
                ["{E} has moved to {v}.", "The new home of {e} is in {v}.", "{E} now lives in {v}."],
                ["Where does {e} live?", "Where has {e} moved?", "In what place is the new home of {e}?"],
                "{E} lives in {v}.",
            ),
            "age": attribute(
                "age",
                lambda v: v.num(4, 99),
                ["{E} has just turned {v}.", "{E} is {v} years old.", "The age of {e} is {v}."],
                ["How old is {e}?", "What is the age of {e}?", "What age has {e} turned?"],
                "{E} is {v} years old.",
            ),
        },
    ),
}
# The held-out genre: ship logs appear only in evaluation.
HELD_KINDS = {
    "vessel": dict(
        title=["Harbour log, page {n}", "Ship register {n}", "Port notice {n}"],
        ref="the ship",
        attrs={
            "captain": attribute(
                "captain",
                lambda v: v.person(),
                ["The captain of {e} is {v}.", "{E} sails under captain {v}.", "{V} is captain of {e}."],
                ["Who is the captain of {e}?", "Which captain commands {e}?"],
            ),
            "port": attribute(
                "home port",
                lambda v: v.city(),
                ["The home port of {e} is {v}.", "{E} has its home port in {v}."],
                ["What is the home port of {e}?", "Where is the home port of {e}?"],
            ),
            "cargo": attribute(
                "cargo",
                lambda v: v.pick(CARGO),
                ["{E} carries a cargo of {v}.", "The cargo of {e} is {v}."],
                ["What is the cargo of {e}?", "Which cargo does {e} carry?"],
            ),
            "tonnage": attribute(
                "tonnage",
                lambda v: v.num(200, 9000) + " tons",
                ["{E} has a tonnage of {v}.", "The tonnage of {e} is {v}."],
                ["What is the tonnage of {e}?", "Which tonnage does {e} have?"],
            ),
            "berth": attribute(
                "berth",
                lambda v: v.code(),
                ["{E} lies at berth {v}.", "The berth of {e} is {v}."],
                ["What is the berth of {e}?", "At which berth does {e} lie?"],
            ),
            "sails": attribute(
                "departure date",
                lambda v: v.date(),
                ["{E} has the departure date {v}.", "The departure date of {e} is {v}."],
                ["What is the departure date of {e}?", "Which departure date does {e} have?"],
            ),
        },
    ),
}
# two-hop: (kind, attribute that is a person) -> noun phrase
HOP_PHRASES = [
    ("project", "lead", "lead"),
    ("site", "caretaker", "caretaker"),
    ("incident", "engineer", "engineer on call"),
    ("policy", "owner", "owner"),
    ("meeting", "chair", "chair"),
    ("contract", "signer", "signatory"),
    ("sample", "author", "author"),
]
HOP_QUESTIONS = {
    "city": [
        "Where does the {phrase} of {e} work?",
        "In which city does the {phrase} of {e} work?",
        "Which office is the {phrase} of {e} based in?",
    ],
    "ext": [
        "What is the phone extension of the {phrase} of {e}?",
        "Which extension reaches the {phrase} of {e}?",
        "What number do I dial to call the {phrase} of {e}?",
    ],
    "desk": [
        "What is the desk number of the {phrase} of {e}?",
        "At which desk does the {phrase} of {e} sit?",
        "Which desk belongs to the {phrase} of {e}?",
    ],
}
VERBS = (
    "tell me,give me,find,find me,look for,search for,show me,report,name,provide,write down,say,quote,extract,get,fetch,return,retrieve,identify,locate,determine,"
    "supply,mention,send me,check,repeat,spell out,point out,type,print,pull up,recall,remind me of,list,share,output,specify,indicate,help me find,let me have,dig out,confirm,copy"
).split(",")
ASK = [
    "What is {phrase}?",
    "What is {phrase}?",
    "What is {phrase}?",
    "what is {phrase}",
    "What's {phrase}?",
    "What was {phrase}?",
    "So what is {phrase}?",
    "And what is {phrase}?",
    "What is {phrase} according to the text?",
    "In the documents, what is {phrase}?",
    "What would {phrase} be?",
    "What does it say about {phrase}?",
    "What do we know about {phrase}?",
    "What value is given for {phrase}?",
    "What do the files record as {phrase}?",
    "Is {phrase} mentioned? What is it?",
    "According to the documents, what is {phrase}?",
    "What do the documents say about {phrase}?",
    "Do the documents mention {phrase}? If so, what is it?",
    "What is written about {phrase}?",
    "What does the text give for {phrase}?",
    "I need {phrase}.",
    "I want {phrase}.",
    "I need to have {phrase}.",
    "I am looking for {phrase}.",
    "I'm searching for {phrase}.",
    "I forgot {phrase}.",
    "My question is about {phrase}.",
    "We are missing {phrase}.",
    "I have to enter {phrase} in a form.",
    "I'd like {phrase}.",
    "Looking for {phrase}.",
    "Question about {phrase}.",
    "Someone asked me for {phrase}.",
    "Do you have {phrase}?",
    "Do you see {phrase}?",
    "Any idea about {phrase}?",
    "I can't find {phrase}.",
    "Tell me what {phrase} is.",
    "I wonder what {phrase} is.",
    "Can you say what {phrase} is?",
    "Find out what {phrase} is.",
    "Do the documents say what {phrase} is?",
    "We want to know {phrase}.",
    "Let me know {phrase}.",
    "{phrase}?",
    "{phrase}",
    "And {phrase}?",
    "What about {phrase}?",
    "please: {phrase}",
    "Does anyone know {phrase}?",
    "It is about {phrase}.",
    "They asked for {phrase}.",
]
OPEN = [
    "Hi. ",
    "Hello, ",
    "Thanks. ",
    "OK, ",
    "One more question: ",
    "Next: ",
    "Quick question. ",
    "Please help. ",
    "Well, ",
    "Now ",
    "Question: ",
    "Sorry, ",
    "Great. ",
    "From the documents: ",
    "Based on the text, ",
    "Good morning. ",
]
CLOSE = [
    " Thanks.",
    " please",
    " (see the documents)",
    " I need this today.",
    " Thank you!",
    " It is urgent.",
    " Be brief.",
    " Use the documents.",
    " That is all.",
]


def generic(rng, phrase):
    """a question about a noun phrase"""
    k = rng.random()
    if k < 0.5:
        return rng.choice(ASK).format(phrase=phrase)
    if k < 0.9:
        v = rng.choice(VERBS)
        return rng.choice(
            (
                "{V} {phrase}.",
                "{v} {phrase}",
                "Please {v} {phrase}.",
                "Can you {v} {phrase}?",
                "Could you {v} {phrase}?",
                "Would you {v} {phrase}?",
                "{V} {phrase}, please.",
                "I want you to {v} {phrase}.",
                "Can you please {v} {phrase}?",
                "You should {v} {phrase}.",
                "Will you {v} {phrase}?",
                "From the text, {v} {phrase}.",
                "I ask you to {v} {phrase}.",
                "Try to {v} {phrase}.",
                "{V} {phrase} from the documents.",
            )
        ).format(v=v, V=cap(v), phrase=phrase)
    w = [rng.choice(WORDS) for _ in range(rng.choice((1, 2, 3, 4)))]
    j = rng.randrange(len(w) + 1)
    return cap(" ".join(w[:j] + [phrase] + w[j:])) + rng.choice(("?", ".", ""))


def noise(rng, q):
    """openers, closers and random words around a question"""
    k = rng.random()
    if k < 0.12:
        q = rng.choice(OPEN) + q
    elif k < 0.2:
        q = q + rng.choice(CLOSE)
    elif k < 0.26:
        q = (
            " ".join(rng.choice(WORDS) for _ in range(rng.choice((1, 2, 3, 5)))).capitalize()
            + rng.choice((". ", ", ", ": ", "? "))
            + q
        )
    elif k < 0.3:
        q = q + " " + " ".join(rng.choice(WORDS) for _ in range(rng.choice((1, 2, 3, 5)))).capitalize() + "."
    elif k < 0.34:
        q = q.lower() if q.lower() == q else q[:1].lower() + q[1:]
    elif k < 0.37:
        q = q.rstrip("?.")
    return q


def noun(rng, a, e):
    """the attribute a of the entity e as a noun phrase"""
    if not e:
        return rng.choice(
            ("the {a}",) * 6 + ("our {a}", "the current {a}", "the {a} in the text", "this {a}", "the right {a}")
        ).format(a=a)
    return rng.choice(
        ("the {a} of {e}",) * 8
        + (
            "the {a} for {e}",
            "{e}'s {a}",
            "the {a} that {e} has",
            "the {a} belonging to {e}",
            "the {a} given for {e}",
            "the {a} listed for {e}",
            "{e} and its {a}",
            "for {e} the {a}",
            "the {a} in the case of {e}",
            "the {a} concerning {e}",
            "which {a} {e} has",
            "what {a} {e} has",
            "the {a} ({e})",
            "{a} of {e}",
            "{e}, {a}",
            "{e}: {a}",
            "{a}, {e}",
        )
    ).format(a=a, e=e)


GENERIC_EVAL = [
    "Could you look up {phrase} for me?",
    "What do the papers give as {phrase}?",
    "I would like to know {phrase}.",
    "Kindly state {phrase}.",
    "Might I ask for {phrase}?",
    "What is stated as {phrase}?",
]
TWO_VALUES = [
    "What are the {a} and the {b} of {e}?",
    "Tell me the {a} and the {b} of {e}.",
    "Give me both the {a} and the {b} of {e}.",
    "I need the {a} and the {b} of {e}.",
]
TWO_VALUES_EVAL = ["Could you look up the {a} and the {b} of {e}?", "Please state the {a} and also the {b} of {e}."]
NOT_STATED = "The documents do not say."
# open-ended attributes: (value type, nouns, held-out nouns)
OPEN_ATTRIBUTES = [
    (
        "money",
        "fee,deposit,price,fare,fine,rent,refund,bonus,subsidy,ticket price,membership fee,parking fee,entry fee,shipping cost,repair cost,salary,pension,prize,grant,loan,insurance premium,late fee,cleaning charge,sales target,donation,tax,cancellation fee,spending limit,meal allowance,mileage rate",
        "toll,surcharge,ransom,dowry,stipend,levy,tuition",
    ),
    (
        "time",
        "return window,waiting time,delivery time,trial period,retention period,cooling-off period,processing time,response time,probation period,lead time,boiling time,flight time,lunch break,session timeout,maintenance window,charging time,lease term,payment term,review cycle,backup interval,refund period,notice time,travel time,recovery time",
        "incubation time,grace period,curfew length,quarantine period",
    ),
    (
        "num",
        "capacity,maximum speed,page count,seating capacity,number of rooms,floor number,top score,track length,population,room number,bus number,platform number,number of seats,page limit,attendance,maximum height,number of copies,port number,retry limit,number of licences,minimum age,depth,height,width,class size",
        "circulation,headcount,altitude,bench count",
    ),
    (
        "code",
        "door code,order number,invoice number,serial number,booking reference,part number,licence number,tracking number,account number,case number,ticket number,batch number,customer number,lock combination,error code,discount code,model number,room code,file number,tax number",
        "hull number,voucher code,docket number,radio callsign",
    ),
    (
        "person",
        "director,contact person,founder,editor,architect,teacher,coach,mayor,driver,winner,inventor,head chef,treasurer,secretary,supervisor,landlord,dentist,composer,sponsor,photographer,support contact,security officer,team leader,principal,data protection officer",
        "curator,auditor,midwife,conductor,gardener",
    ),
    (
        "place",
        "headquarters,birthplace,venue,destination,training site,main office,data centre,warehouse,head office,test site,exhibition place,assembly point city,backup site",
        "embassy,seminary,landing site",
    ),
    (
        "date",
        "opening date,expiry date,release date,exam date,renewal date,launch date,closing date,delivery date,inspection date,anniversary,election date,wedding date,payment date,audit date,submission date,training date",
        "coronation date,harvest date,hearing date",
    ),
    (
        "word",
        "password,nickname,motto,code word,user name,mascot,brand,flavour,project name,network name,host name,theme,secret word",
        "watchword,alias,pen name",
    ),
]
QUALIFIERS = "standard annual visitor summer night student express international local minimum maximum main second emergency new weekend monthly winter guest junior senior internal external regional default temporary official".split()
THING = "School,Museum,Hotel,Library,Bakery,Railway,Theatre,Clinic,Bridge,Football Club,University,Garden,Airport,Brewery,Hospital,Market,Bank,Cinema,Farm,Castle,Pharmacy,Observatory,Swimming Pool,Town Hall".split(
    ","
)
THING_EVAL = "Abbey,Planetarium,Vineyard,Lido,Conservatory,Orphanage,Arboretum,Shipyard".split(",")
OPEN_TITLES = [
    "Frequently asked questions",
    "General information",
    "Customer handbook",
    "Visitor guide",
    "Notice board",
    "Service terms",
    "House rules",
    "Fact sheet",
    "Welcome pack",
    "Terms and conditions",
]
ONLY = [
    "Answer with only the value.",
    "Reply with just the value.",
    "Give only the value, nothing else.",
    "Only the value, please.",
    "Answer with the value only.",
    "Just the value.",
    "No sentence, only the value.",
    "Output the bare value.",
    "I only want the value.",
    "Short answer: the value and nothing more.",
    "Write the value only.",
    "Do not write a sentence, give the value.",
    "Value only.",
]
ONLY_EVAL = ["Respond with nothing but the value."]
JSON_SYSTEM = [
    'Answer in JSON like {"answer": ...}.',
    'Reply only with a JSON object of the form {"answer": "..."}.',
    'Return JSON: {"answer": string}',
    'Always answer with JSON in the format {"answer": ...} and nothing else.',
    'You are a JSON API. Output {"answer": ...}.',
    'Use JSON: {"answer": "the value"}.',
    'Every reply must be a JSON object with the key "answer".',
    'Write your answer as {"answer": "..."}',
    'Output format: {"answer": ...}. No other text.',
    'Give the result as JSON. The key is "answer".',
    'Please return {"answer": ...} as valid JSON.',
]
JSON_SYSTEM_EVAL = ['Respond in JSON with one field: {"answer": ...}']
JSON_USER = ['You must answer strictly in the following JSON format: {\n"answer": (type: string)\n}']
SYSTEM = [
    "You are a helpful assistant.",
    "You are Skim, a document assistant.",
    "Answer questions about the documents.",
    "You answer questions from the given documents. Be brief.",
    "You are a helpful assistant that reads long documents.",
    "Use only the information in the documents.",
]
WHO = "I am the Skim demo model, a small language model that looks up facts in long documents."
CAN = "I can answer questions about documents that you put in the prompt: single facts, two values, key-value pairs, and simple two-step look-ups."
NO_DOCUMENTS = "I can only answer from documents that you put in the prompt."
CHAT = [
    (
        [
            "Hello",
            "Hello!",
            "Hi",
            "hi there",
            "Good morning",
            "Hey",
            "Good evening!",
            "hello, anyone there?",
            "Hi!",
            "hey there",
        ],
        "Hello! Give me some documents and ask me a question about them.",
    ),
    (
        [
            "Who are you?",
            "What are you?",
            "What is your name?",
            "who are you",
            "Tell me about yourself.",
            "Introduce yourself.",
            "Are you a language model?",
            "What's your name?",
            "Which model are you?",
        ],
        WHO,
    ),
    (
        [
            "What can you do?",
            "How can you help me?",
            "what can you do",
            "What are you good at?",
            "Help",
            "help me",
            "What is this?",
            "How do I use you?",
            "What kind of questions can you answer?",
        ],
        CAN,
    ),
    (
        ["Thanks", "Thank you!", "thanks a lot", "Great, thank you.", "Perfect, thanks.", "Thank you very much."],
        "You are welcome.",
    ),
    (["Goodbye", "Bye", "bye!", "See you later.", "That is all for today."], "Goodbye!"),
    (
        ["How are you?", "how are you doing", "Are you well?", "How is it going?"],
        "I am ready to read. Give me some documents and a question.",
    ),
    (
        [
            "What is the capital of France?",
            "Write a poem about the sea.",
            "Who won the world cup?",
            "What is 12 times 7?",
            "Tell me a joke.",
            "What is the weather today?",
            "Write some Java code.",
            "Translate this into German.",
            "How tall is the Eiffel Tower?",
            "What should I cook tonight?",
            "Who wrote Hamlet?",
            "Give me some advice.",
        ],
        NO_DOCUMENTS,
    ),
]
CHAT_EVAL = [
    ("Hi, good afternoon!", CHAT[0][1]),
    ("So who exactly are you?", WHO),
    ("What sort of things can you do for me?", CAN),
    ("Many thanks!", "You are welcome."),
    ("Who is the president of Brazil?", NO_DOCUMENTS),
]
KEY_WORDS = "alpha beta gamma delta timeout retries host port mode theme region zone cache limit token user group level rate size color path batch queue shard owner stage target weight depth width color lang cron".split()


def cap(s):
    """s with its first letter in upper case."""
    return s[:1].upper() + s[1:]


@dataclass(slots=True)
class Candidate:
    """A question that a world can answer.

    type                question type, as in the evaluation sets
    questions           trained phrasings
    held_out_questions  phrasings that only evaluation uses
    answer              full sentence
    value               the bare value; None if the documents do not state it
    entity              what the question is about
    """

    type: str
    questions: list
    held_out_questions: list
    answer: str
    value: str
    entity: str = None


class World:
    """Entities, facts, documents and question candidates for one context."""

    def __init__(self, rng, held=False, kinds=None, similar=False):
        self.rng, self.held, self.v = rng, held, Values(rng, held)
        self.names, self.docs, self.candidates, self.missing = set(), [], [], []
        self.defs = dict(KINDS)
        if kinds and kinds[0] in HELD_KINDS:
            self.defs = {**KINDS, **HELD_KINDS}
        base = [k for k in KINDS]
        rng.shuffle(base)
        self.kinds = kinds or base[: rng.choice((1, 1, 2, 3, 5, 8))]
        self.similar = similar
        self.people = []  # (name, {attr: value}) with city / ext / desk
        self.cpre = rng.choice("ABCDEFGHKLMNPRST") + rng.choice("ABCDEFGHKLMNPRST")
        self.cbase = rng.randrange(10, 99)

    def new_entity(self, kind):
        """A fresh name for an entity of a kind."""
        rng, v = self.rng, self.v
        for t in range(60):
            if kind in ("person", "relative"):
                n = v.person()
                if t > 12:
                    n = n.replace(" ", f" {rng.choice('ABCDEFGHJKLMNPRSTVW')}. ", 1)
            elif kind == "project":
                n = v.project()
            elif kind == "product":
                n = v.product()
            elif kind == "site":
                n = f"{v.town()} {rng.choice(('Depot', 'Office', 'Warehouse', 'Plant', 'Tower', 'Centre'))}"
            elif kind in ("contract", "incident", "sample"):
                p = {"contract": "contract ", "incident": "incident ", "sample": "sample "}[kind]
                if self.similar or rng.random() < 0.3:
                    n = f"{p}{self.cpre}-{self.cbase}{rng.randrange(0, 1000):03d}"
                else:
                    n = p + v.code()
            elif kind == "meeting":
                n = f"the {rng.choice(COMMITTEE_EVAL if self.held else COMMITTEE)} {rng.choice(('Committee', 'Board', 'Council', 'Working Group'))}{rng.choice(('', '', ' of ' + v.town()))}"
            elif kind == "item":
                n = rng.choice(ITEM_EVAL if self.held else ITEM)
                if rng.random() < 0.75:
                    n = f"{rng.choice(COLOR + ['small', 'large', 'heavy', 'light', 'short', 'long', 'spare', 'used', 'new'])} {n}"
            elif kind == "trip":
                n = v.town()
            elif kind == "policy":
                n = f"the {rng.choice(POLICY_EVAL if self.held else POLICY)} Policy{rng.choice(('', '', ' of ' + v.town(), ' ' + v.year()))}"
            else:
                n = "the " + rng.choice(SHIP) + rng.choice(("", "", " " + rng.choice(("II", "III", "of " + v.town()))))
            if t > 20 and kind not in ("person", "relative"):
                n += f" {rng.randrange(2, 1000)}"
            if n not in self.names:
                self.names.add(n)
                return n
        raise RuntimeError("no free name for " + kind)

    # -- one entity with a few facts; returns list of (kind, name, attr, value)
    def facts(self, kind, n=None, name=None, must=()):
        """A new entity with n attributes, among them those in must, as (kind, name, attribute, value); adds the questions about it."""
        rng, A = self.rng, self.defs[kind]["attrs"]
        name = name or self.new_entity(kind)
        keys = list(A)
        rng.shuffle(keys)
        n = n or rng.choice((1, 2, 2, 3, 3, 4, 5))
        keys = list(must) + [k for k in keys if k not in must][: max(0, n - len(must))]
        rng.shuffle(keys)
        out = []
        for k in keys:
            val = A[k]["make_value"](self.v)
            out.append((kind, name, k, val))
        vals = {k: x for _, _, k, x in out}
        qt = "similar" if self.similar else ("newgenre" if kind in HELD_KINDS else "single")
        for k, val in vals.items():
            a = A[k]
            phrase = f"the {a['phrase']} of {'the ' if kind in ('product', 'item') else ''}{name}"
            if kind == "trip" and k in ("hotel", "by", "nights", "guide"):
                g = ge = []
            else:
                g, ge = (
                    [
                        generic(rng, noun(rng, a["phrase"], ("the " if kind in ("product", "item") else "") + name))
                        for _ in range(3)
                    ],
                    [x.format(phrase=phrase) for x in GENERIC_EVAL],
                )
            sp = [q.format(e=name) for q in (a["questions"][:-1] if kind not in HELD_KINDS else a["questions"])]
            self.candidates.append(
                Candidate(
                    qt,
                    sp + g,
                    [a["questions"][-1].format(e=name)] * 4 + ge,
                    cap(a["answer"].format(e=name, E=cap(name), v=val)),
                    val,
                    name,
                )
            )
        if len(vals) >= 2 and kind not in ("trip", "product", "item") and qt == "single":
            a, b = rng.sample(list(vals), 2)
            d = dict(a=A[a]["phrase"], b=A[b]["phrase"], e=name)
            two = rng.choice(
                (
                    "the {a} and the {b} of {e}",
                    "both the {a} and the {b} of {e}",
                    "{e}'s {a} and {b}",
                    "the {a} and {b} of {e}",
                    "the {a} of {e} and also the {b}",
                    "the {a} as well as the {b} of {e}",
                )
            ).format(**d)
            self.candidates.append(
                Candidate(
                    "two_values",
                    [q.format(**d) for q in TWO_VALUES] + [generic(rng, two) for _ in range(3)],
                    [q.format(**d) for q in TWO_VALUES_EVAL],
                    f"The {A[a]['phrase']} of {name} is {vals[a]} and the {A[b]['phrase']} is {vals[b]}.",
                    f"{vals[a]}; {vals[b]}",
                    name,
                )
            )
        if kind == "person":
            for k in ("empno", "ext", "desk"):
                if k in vals and f"rev {vals[k]}" not in self.names:
                    self.names.add(f"rev {vals[k]}")
                    d = dict(phrase=A[k]["phrase"], v=vals[k])
                    self.candidates.append(
                        Candidate(
                            "reverse",
                            [
                                q.format(**d)
                                for q in (
                                    "Who has the {phrase} {v}?",
                                    "Whose {phrase} is {v}?",
                                    "Which person has the {phrase} {v}?",
                                    "{v} is the {phrase} of which person?",
                                    "The {phrase} {v} belongs to whom?",
                                    "Who owns the {phrase} {v}?",
                                    "With whom do I connect the {phrase} {v}?",
                                    "{v}: whose {phrase} is that?",
                                    "Who is the person behind the {phrase} {v}?",
                                )
                            ]
                            + [
                                generic(
                                    rng,
                                    rng.choice(
                                        (
                                            "the person with the {phrase} {v}",
                                            "the name of the person with the {phrase} {v}",
                                            "the owner of the {phrase} {v}",
                                            "who has the {phrase} {v}",
                                            "whose {phrase} is {v}",
                                        )
                                    ).format(**d),
                                )
                                for _ in range(3)
                            ],
                            ["To whom does the {phrase} {v} belong?".format(**d)],
                            f"{name} has the {A[k]['phrase']} {vals[k]}.",
                            name,
                            name,
                        )
                    )
        rest = [k for k in A if k not in vals]
        if rest:
            k = rng.choice(rest)
            phrase = f"the {A[k]['phrase']} of {'the ' if kind in ('product', 'item') else ''}{name}"
            self.missing.append(
                Candidate(
                    "not_stated",
                    [q.format(e=name) for q in A[k]["questions"][:-1]]
                    + [generic(rng, noun(rng, A[k]["phrase"], ("the " if kind in ("product", "item") else "") + name))]
                    * 2,
                    [A[k]["questions"][-1].format(e=name)] + [x.format(phrase=phrase) for x in GENERIC_EVAL],
                    NOT_STATED,
                    None,
                    name,
                )
            )
        return out

    def absent(self):
        """A question about an entity that no document mentions."""
        kind = self.rng.choice(self.kinds)
        A = self.defs[kind]["attrs"]
        name = self.new_entity(kind)
        k = self.rng.choice(list(A))
        phrase = f"the {A[k]['phrase']} of {'the ' if kind in ('product', 'item') else ''}{name}"
        return Candidate(
            "not_stated",
            [q.format(e=name) for q in A[k]["questions"][:-1]]
            + [
                generic(
                    self.rng, noun(self.rng, A[k]["phrase"], ("the " if kind in ("product", "item") else "") + name)
                )
            ]
            * 2,
            [A[k]["questions"][-1].format(e=name)] + [x.format(phrase=phrase) for x in GENERIC_EVAL],
            NOT_STATED,
            None,
            name,
        )

    # -- open-ended attributes, with or without a named entity
    def open_value(self, t):
        """A value of type t."""
        v, rng = self.v, self.rng
        if t == "money":
            return rng.choice((v.money, v.price))()
        if t == "time":
            return f"{v.num(2, 100)} {rng.choice(('days', 'minutes', 'hours', 'weeks', 'months', 'seconds'))}"
        if t == "num":
            return v.num(2, rng.choice((60, 900, 9000)))
        return {"code": v.code, "person": v.person, "place": v.city, "date": v.date, "word": v.word}[t]()

    def open_attribute(self):
        """(type, noun) of an attribute that belongs to no kind."""
        rng = self.rng
        t, a, b = rng.choice(OPEN_ATTRIBUTES)
        a = rng.choice((b if self.held else a).split(","))
        if not self.held and rng.random() < 0.5:
            a = " ".join(rng.choice(WORDS) for _ in range(rng.choice((1, 1, 2))))
        return t, (f"{rng.choice(QUALIFIERS)} {a}" if rng.random() < 0.5 else a)

    def open_question(self, t, a, e, val, typ):
        """The question for value val of attribute a, of entity e if there is one."""
        rng = self.rng
        of = f" {rng.choice(('of', 'for', 'of'))} {e}" if e else ""
        questions = [f"What is the {a}{of}?"] * 2
        ev = [f"Which {a} is given{' for ' + e if e else ''}?", f"State the {a}{of}."]
        questions.append(
            {
                "money": f"How much is the {a}{of}?",
                "time": f"How long is the {a}{of}?",
                "person": f"Who is the {a}{of}?",
                "place": f"Where is the {a}{of}?",
                "date": f"When is the {a}{of}?",
            }.get(t, f"Which {a} is it{of}?" if not e else f"Which {a} does {e} have?")
        )
        if e:
            questions += [f"What {a} does {e} have?", f"What is {e}'s {a}?"]
        questions += [generic(rng, noun(rng, a, e)) for _ in range(4)]
        ev += [x.format(phrase=f"the {a}{of}") for x in GENERIC_EVAL]
        return Candidate(
            typ, questions, ev, NOT_STATED if val is None else f"The {a}{' of ' + e if e else ''} is {val}.", val, e
        )

    def add_misc(self):
        """A document of open-ended attributes."""
        rng, v = self.rng, self.v
        typ = "unseen_attr" if self.held else "misc"
        out = []
        named = rng.random() < 0.6
        shared = [self.open_attribute() for _ in range(3)] if named else []
        for _ in range(rng.choice((1, 2, 3))):
            e = None
            if named:
                for _ in range(30):
                    e = (
                        v.org()
                        if rng.random() < 0.3
                        else f"{v.town()} {rng.choice(THING_EVAL if self.held else THING)}"
                    )
                    e = e if rng.random() < 0.6 or e.split()[-1] in ORG_END else "the " + e
                    if e not in self.names:
                        break
                else:
                    continue
                self.names.add(e)
            s, seen = [], set()
            for _ in range(rng.choice((1, 2, 3, 4))):
                t, a = rng.choice(shared) if shared and rng.random() < 0.5 else self.open_attribute()
                if a in seen:
                    continue
                if e is None and ("bare " + a in self.names or "attr " + a in self.names):
                    continue
                if e and "bare " + a in self.names:
                    continue
                self.names.add(("attr " if e else "bare ") + a)
                seen.add(a)
                x = self.open_value(t)
                fs = (
                    [
                        "The {a} of {e} is {x}.",
                        "The {a} for {e} is {x}.",
                        "At {e} the {a} is {x}.",
                        "{E} has the {a} {x}.",
                        "{E}'s {a} is {x}.",
                        "As for {e}, the {a} is {x}.",
                        "For {e} the {a} was set to {x}.",
                        "{E} ({a}: {x}) is on the list.",
                        "The {a} that applies to {e} is {x}.",
                        "{X} is the {a} of {e}.",
                        "With a {a} of {x}, {e} is well known.",
                        "{E} now has {x} as its {a}.",
                    ]
                    if e
                    else [
                        "The {a} is {x}.",
                        "Please note that the {a} is {x}.",
                        "Our {a} is {x}.",
                        "{X} is the {a}.",
                        "The {a} has been changed to {x}.",
                        "From now on the {a} will be {x}.",
                        "The current {a} is {x}.",
                    ]
                )
                s.append(rng.choice(fs).format(a=a, A=cap(a), e=e, E=cap(e or ""), x=x, X=cap(x)))
                if rng.random() < 0.35:
                    s.append(self.filler())
                self.candidates.append(self.open_question(t, a, e, x, typ))
            if s:
                out.append(" ".join(s))
            t, a = self.open_attribute()
            if a not in seen and "attr " + a not in self.names and "bare " + a not in self.names and rng.random() < 0.5:
                self.names.add("bare " + a)
                self.names.add("attr " + a)
                self.missing.append(self.open_question(t, a, e, None, "not_stated"))
        if out:
            self.docs.append(("" if rng.random() < 0.4 else rng.choice(OPEN_TITLES) + "\n") + "\n".join(out))

    def filler(self):
        """A sentence that states no fact."""
        rng = self.rng
        return rng.choice(FILL).format(
            team=rng.choice(TEAM),
            day=rng.choice(DAYS),
            adj=rng.choice(ADJ),
            noun=rng.choice(NOUN),
            month=rng.choice(MONTHS),
        )

    def sentence(self, f, ref=None):
        """The sentence that states a fact; ref stands for the name where it can."""
        kind, name, k, val = f
        d = self.defs[kind]
        e = name
        t = self.rng.choice(d["attrs"][k]["facts"])
        if ref and "the {e}" not in t.lower() and "{V}" not in t:
            e = ref
        return t.format(e=e, E=cap(e), v=val, V=cap(val))

    def title(self, kind):
        """A document title for a kind."""
        d = self.defs[kind]
        return self.rng.choice(d["title"]).format(n=self.rng.randrange(1, 400))

    def render(self, groups):
        """groups: list of fact lists (one entity each, same kind) -> one document"""
        rng = self.rng
        kind = groups[0][0][0]
        d = self.defs[kind]
        style = rng.random()
        head = [self.title(kind)] if rng.random() < 0.8 else []
        if style < 0.10:  # record cards
            body = "\n".join(
                cap(g[0][1]) + "".join(f"\n- {cap(d['attrs'][k]['phrase'])}: {x}" for _, _, k, x in g) for g in groups
            )
        elif style < 0.16:  # JSON records
            body = "\n".join(
                json.dumps({"name": g[0][1], **{d["attrs"][k]["phrase"].replace(" ", "_"): x for _, _, k, x in g}})
                for g in groups
            )
        elif style < 0.22:  # semicolon lines
            body = "\n".join(
                f"{cap(g[0][1])}: " + "; ".join(f"{d['attrs'][k]['phrase']} {x}" for _, _, k, x in g) for g in groups
            )
        else:  # prose, sometimes interleaved, with filler sentences
            fr = rng.choice((0, 0.3, 0.6, 1.0))
            paras = []
            if len(groups) > 1 and rng.random() < 0.5:
                fs = [f for g in groups for f in g]
                rng.shuffle(fs)
                s = []
                for f in fs:
                    s.append(self.sentence(f))
                    if rng.random() < fr:
                        s.append(self.filler())
                paras.append(" ".join(s))
            else:
                for g in groups:
                    s = []
                    if rng.random() < fr:
                        s.append(self.filler())
                    useref = rng.random() < 0.3
                    for i, f in enumerate(g):
                        s.append(self.sentence(f, d["ref"] if useref and i > 0 else None))
                        if rng.random() < fr * 0.7 and not useref:
                            s.append(self.filler())
                    paras.append(" ".join(s))
            body = ("\n" if rng.random() < 0.6 else " ").join(paras)
        return "\n".join(head + [body])

    def add_doc(self):
        """A document about one kind of entity."""
        rng = self.rng
        k = rng.choice(self.kinds)
        self.docs.append(self.render([self.facts(k) for _ in range(rng.choice((1, 1, 2, 3, 4)))]))

    def add_hop(self):
        """Two documents whose facts answer a two-step question."""
        rng = self.rng
        kind, attr, phrase = rng.choice(HOP_PHRASES)
        if rng.random() < 0.75 or not self.people:
            p = self.new_entity("person")
            first_names = self.facts(
                "person", name=p, n=rng.choice((2, 3)), must=(rng.choice(("city", "city", "ext", "desk")),)
            )
            self.people.append((p, {k: x for _, _, k, x in first_names}))
            self.docs.append(self.render([first_names] + ([self.facts("person")] if rng.random() < 0.4 else [])))
        p, pv = rng.choice(self.people)
        e = self.new_entity(kind)
        A = self.defs[kind]["attrs"]
        keys = [attr] + rng.sample([k for k in A if k != attr], rng.choice((0, 1, 2)))
        rng.shuffle(keys)
        fs = [(kind, e, k, p if k == attr else A[k]["make_value"](self.v)) for k in keys]
        self.docs.append(self.render([fs] + ([self.facts(kind)] if rng.random() < 0.4 else [])))
        for k2, questions in HOP_QUESTIONS.items():
            if k2 in pv:
                questions = [q.format(phrase=phrase, e=e) for q in questions]
                tail = {
                    "city": "works in {v}",
                    "ext": "has the phone extension {v}",
                    "desk": "has the desk number {v}",
                }[k2].format(v=pv[k2])
                d2 = {
                    "city": ("office location", "office", "workplace", "city"),
                    "ext": ("phone extension", "extension", "phone number"),
                    "desk": ("desk number", "desk"),
                }[k2]
                questions = [generic(rng, f"the {rng.choice(d2)} of the {phrase} of {e}") for _ in range(2)] + questions
                self.candidates.append(
                    Candidate(
                        "two_hop", questions[:-1], questions[-1:], f"The {phrase} of {e} is {p}, who {tail}.", pv[k2], e
                    )
                )

    def add_kv(self, n):
        """A table of n keys and values."""
        rng, v = self.rng, self.v
        style = rng.randrange(4)
        kst = rng.randrange(4)
        pre = rng.choice(KEY_WORDS)
        items = {}
        while len(items) < n:
            if kst == 0:
                k = f"{rng.choice(KEY_WORDS)}_{rng.choice(KEY_WORDS)}_{rng.randrange(100)}"
            elif kst == 1:
                k = f"{pre}-{rng.randrange(1000):03d}"
            elif kst == 2:
                k = "".join(rng.choice("0123456789abcdef") for _ in range(8))
            else:
                k = v.code()
            if k in self.names:
                continue
            self.names.add(k)
            t = rng.randrange(4)
            items[k] = (
                v.digits(rng.choice((3, 4, 5, 6)))
                if t == 0
                else v.word()
                if t == 1
                else v.code()
                if t == 2
                else "".join(rng.choice("0123456789abcdef") for _ in range(8))
            )
        if style == 0:
            body = json.dumps(items, indent=rng.choice((None, 1, 2)))
        elif style == 1:
            body = "\n".join(f"{k}: {x}" for k, x in items.items())
        elif style == 2:
            body = "\n".join(f"{k} = {x}" for k, x in items.items())
        else:
            body = "\n".join(f"The value of {k} is {x}." for k, x in items.items())
        self.docs.append(rng.choice(("Settings\n", "Key-value table\n", "", "Configuration\n")) + body)
        for k, x in items.items():
            self.candidates.append(
                Candidate(
                    "kv",
                    [
                        f"What is the value of {k}?",
                        f"What is {k} set to?",
                        f"Look up the key {k}.",
                        f"value of {k}?",
                        f"Which value belongs to {k}?",
                    ]
                    + [
                        generic(
                            rng,
                            rng.choice(
                                (
                                    "the value of {k}",
                                    "the value of {k}",
                                    "{k}",
                                    "the entry {k}",
                                    "the key {k}",
                                    "the value for {k}",
                                    "the value stored under {k}",
                                    "what {k} is set to",
                                    "the setting {k}",
                                )
                            ).format(k=k),
                        )
                        for _ in range(3)
                    ],
                    [f"What value does {k} have?", f"Please read out {k}."],
                    f"The value of {k} is {x}.",
                    x,
                    k,
                )
            )

    def add_passkey(self):
        """A pass key between sentences without facts."""
        rng, v = self.rng, self.v
        w, x = (
            rng.choice(("pass key", "magic number", "secret number", "access code", "pin")),
            v.digits(rng.choice((4, 5, 6, 7))),
        )
        key = f"the {w} for {v.word()}" if rng.random() < 0.8 else f"the {w}"
        if (
            key in self.names
            or any(n.startswith(key + " for") for n in self.names)
            or key.split(" for")[0] in self.names
        ):
            return
        self.names.add(key)
        s = rng.choice(
            (
                "{K} is {x}. Remember it.",
                "Please remember that {k} is {x}.",
                "{K} is {x}. {x} is {k}.",
                "Note: {k} is {x}.",
                "One more thing: {k} is {x}.",
            )
        ).format(K=cap(key), k=key, x=x)
        s2 = [self.filler() for _ in range(rng.choice((0, 1, 2, 4)))]
        s2.insert(rng.randrange(len(s2) + 1), s)
        self.docs.append(" ".join(s2))
        self.candidates.append(
            Candidate(
                "passkey",
                [f"What is {key}?", f"Tell me {key}.", f"I told you {key}. What is it?", f"{cap(key)}?"]
                + [generic(rng, key) for _ in range(4)],
                [f"Do you remember {key}?", f"Which number is {key}?"],
                f"{cap(key)} is {x}.",
                x,
                key,
            )
        )


# ----------------------------------------------------------------------------- assembling chats
PROMPT_FORMATS = ["lc", "lc", "lc", "ctx", "ctx", "after", "before", "system", "system", "docs", "qctx", "both"]


class Builder:
    """Turns worlds into chats of an exact token length."""

    def __init__(self, tok, prose, seed, held=False, held_names=None):
        """tok: tokenizers.Tokenizer; prose: list of natural paragraphs
        held: use the held-out paraphrases and instructions; held_names: use the held-out word pools (default: as held)"""
        self.tok, self.prose, self.rng, self.held = tok, prose, random.Random(seed), held
        self.held_names = held if held_names is None else held_names
        if len(WORDS) < 10 and len(prose) > 100:
            WORDS[:] = words_of(prose)
        self.S, self.E = tok.token_to_id("<|im_start|>"), tok.token_to_id("<|im_end|>")
        self.EOT = tok.token_to_id("<|endoftext|>")
        self.nl = self.encode("\n")
        self.open_len = 1 + len(self.encode("assistant\n"))

    def encode(self, s):
        """Token ids of s."""
        return self.tok.encode(s, add_special_tokens=False).ids

    def passage(self, w):
        """Text without facts for the world w: natural prose, sometimes with a quotation to continue, or filler."""
        rng = self.rng
        if rng.random() < 0.5:
            i = rng.randrange(len(self.prose))
            t = "\n".join(self.prose[i : i + rng.choice((1, 1, 2, 3))])[: rng.choice((300, 700, 1500))].rsplit(" ", 1)[
                0
            ]
            if rng.random() < 0.3:  # a quotation to continue
                u = t.split("\n")[0].split(" ")
                if len(u) > 22:
                    j, n, m = rng.randrange(len(u) - 20), rng.choice((6, 7, 8, 9)), rng.choice((5, 7, 9))
                    p, a = " ".join(u[j : j + n]), " ".join(u[j + n : j + n + m])
                    if '"' not in p + a:
                        w.candidates.append(
                            Candidate(
                                "quote",
                                [
                                    f'Continue the passage: "{p}"',
                                    f'Which words follow "{p}"?',
                                    f'What comes after "{p}" in the text?',
                                    f'Complete the quotation: "{p}"',
                                    f'Continue: "{p}"',
                                    f'Carry on from "{p}"',
                                    f'"{p}" - what comes next?',
                                    f'Go on after "{p}"',
                                    f'How does the passage continue after "{p}"?',
                                ]
                                + [
                                    generic(
                                        rng,
                                        rng.choice(
                                            (
                                                "the words after",
                                                "the continuation of",
                                                "the text that follows",
                                                "the rest of the sentence",
                                                "what follows",
                                            )
                                        )
                                        + f' "{p}"',
                                    )
                                    for _ in range(3)
                                ],
                                [f'How does the text go on after "{p}"?'],
                                a,
                                a,
                            )
                        )
            return t
        t = w.title(rng.choice(list(KINDS))) + "\n" if rng.random() < 0.6 else ""
        return t + " ".join(w.filler() for _ in range(rng.choice((3, 5, 8))))

    def world(self, size, want=None, kinds=None):
        """Documents with about T tokens. want: a question type that must be present."""
        rng = self.rng
        sim = want == "similar" or (want is None and rng.random() < 0.15)
        if sim and not kinds:
            kinds = [rng.choice(("person", "contract", "incident", "sample", "item", "relative", "project"))]
        w = World(rng, self.held_names, kinds, sim)
        if want == "reverse":
            w = World(rng, self.held_names, ["person", "person"] + rng.sample(list(KINDS), 2))
        if want == "newgenre":
            w = World(rng, self.held_names, ["vessel"] + rng.sample(list(KINDS), 2))
        if want is None:
            hop, kv, passkey, open_facts = (
                rng.random() < 0.25,
                rng.random() < 0.25,
                rng.random() < 0.2,
                rng.random() < 0.5,
            )
            mix = rng.choice((0.1, 0.25, 0.5, 0.75, 1.0))
            if size < 700:
                mix = rng.choice((0.5, 0.8, 1.0))
        else:
            hop, kv, passkey, open_facts = (
                want == "two_hop",
                want == "kv",
                want == "passkey",
                want in ("unseen_attr", "misc"),
            )
            mix = rng.choice((0.3, 0.5, 0.7))
        need, texts = size * mix, []
        got = 0
        n0 = 0
        cap_kv = max(3, min(40, size // 60))
        while got < need:
            x = rng.random()
            if hop and (n0 == 0 or x < 0.35):
                w.add_hop()
            elif kv and (n0 == 0 or x < 0.3):
                w.add_kv(rng.randrange(3, cap_kv + 1) if n0 else min(cap_kv, 6))
            elif passkey and (n0 == 0 or x < 0.12):
                w.add_passkey()
            elif open_facts and (n0 == 0 or x > 0.55):
                w.add_misc()
            else:
                w.add_doc()
            n0 += 1
            new = w.docs[len(texts) :]
            for t in new:
                texts.append(t)
                n = len(self.encode(t)) + 2
                got += n
        # drop nothing that a question needs: the fact part may exceed T only on tiny contexts
        fill = size - got
        while fill > 12:
            t = self.passage(w)
            ids = self.encode(t)
            if len(ids) + 2 > fill:
                w.candidates = [
                    z for z in w.candidates if not (z.type == "quote" and z.value in t)
                ]  # the cut may remove it
                t = self.tok.decode(ids[: max(4, fill - 3)]).rstrip("\ufffd ").strip()
                texts.append(t)
                break
            texts.append(t)
            fill -= len(ids) + 2
        rng.shuffle(texts)
        w.texts = texts
        return w

    def ask(self, qa, mode):
        """mode: s sentence, v value only (said by the user), V (said by the system), j / J JSON -> (question, answer)"""
        rng = self.rng
        q = rng.choice(qa.held_out_questions) if self.held else noise(rng, rng.choice(qa.questions))
        if mode in "vV" and qa.answer != NOT_STATED and qa.value is None:
            mode = "s"
        if mode in "jJ" and qa.answer != NOT_STATED and qa.value is None:
            mode = "s"
        a = qa.answer
        if mode in "vV" and qa.answer != NOT_STATED:
            a = qa.value
        if mode in "jJ":
            a = json.dumps({"answer": qa.value}) if qa.answer != NOT_STATED else '{"answer": null}'
        if mode == "v":
            q = q + rng.choice((" ", "\n")) + rng.choice(ONLY_EVAL if self.held else ONLY)
        if mode == "j":
            q = q + "\n" + (rng.choice(JSON_USER))
        return q, a

    def first(self, fmt, docs, q, parts):
        """The user message that carries the documents, in the prompt format fmt."""
        if fmt == "lc":
            return f"{q}\n\nAnswer using the following information:\n{docs}"
        if fmt == "ctx":
            return f"Context:\n{docs}\n\nQuestion: {q}"
        if fmt == "after":
            return f"{docs}\n\n{q}"
        if fmt == "before":
            return f"{q}\n\n{docs}"
        if fmt == "docs":
            return f"{parts}\n\n{docs}\n\n{q}"
        if fmt == "qctx":
            return f"Question: {q}\n\nContext:\n{docs}"
        if fmt == "both":
            return f"{q}\n\n{docs}\n\n{q}"
        return q

    def chat(self):
        """Small talk without documents."""
        rng = self.rng
        m = []
        if rng.random() < 0.4:
            m.append(("system", rng.choice(SYSTEM), ""))
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            questions, a = rng.choice(CHAT)
            m += [("user", rng.choice(questions)), ("assistant", a)]
        return m

    def talk(self, size, nq, want=None, fmt=None, kinds=None, mode=None):
        """-> (messages, list of candidates) with about T tokens of documents and nq questions"""
        rng = self.rng
        fmt = fmt or rng.choice(PROMPT_FORMATS)
        w = self.world(size, want, kinds)
        pool = w.candidates
        if want == "not_stated" or (want is None and rng.random() < 0.35):
            w.missing.append(w.absent())
        by = {}
        for qa in pool:
            by.setdefault(qa.type, []).append(qa)
        mode = mode or rng.choice("sssssssvvVjJ")
        picked = []
        for _ in range(nq):
            if want == "not_stated":
                c = w.missing
            elif want and want in by:
                c = by[want]
            elif want is None and rng.random() < 0.1 and w.missing:
                c = w.missing
            else:
                c = by[rng.choice(list(by))] if rng.random() < 0.6 and by else pool
            qa = rng.choice(c)
            picked.append(qa)
        docs = "\n\n".join(w.texts)
        sysm = None
        if mode == "V":
            sysm = rng.choice(ONLY_EVAL if self.held else ONLY)
        elif mode == "J":
            sysm = rng.choice(JSON_SYSTEM_EVAL if self.held else JSON_SYSTEM)
        elif rng.random() < 0.35:
            sysm = rng.choice(SYSTEM)
        msgs = []
        if fmt == "system":
            p = rng.choice(
                (
                    "Use the following documents to answer.",
                    "Documents:",
                    "Here are the documents.",
                    "Answer from these documents:",
                )
            )
            sysm = f"{sysm + chr(10) if sysm else ''}{p}\n\n{docs}"
        if sysm:
            msgs.append(("system", sysm))
        for i, qa in enumerate(picked):
            q, a = self.ask(qa, mode)
            if i == 0:
                q = self.first(
                    fmt,
                    docs,
                    q,
                    rng.choice(
                        (
                            "Read the documents below and answer the question at the end.",
                            "Here are some documents.",
                            "Documents:",
                        )
                    ),
                )
            elif fmt == "ctx" and rng.random() < 0.5:
                q = "Question: " + q
            msgs += [("user", q), ("assistant", a)]
            if i and rng.random() < 0.02:
                msgs += [("user", rng.choice(CHAT[3][0])), ("assistant", CHAT[3][1])]
        return msgs, picked

    # -- token ids and loss classes (1 prompt and documents, 2 answers)
    def tokens(self, msgs):
        """(token ids, loss classes) of a chat: class 1 for prompt and documents, 2 for answers."""
        ids, classes = [], []
        for m in msgs:
            role, text = m[0], m[1]
            h = [self.S] + self.encode(role + "\n")
            b = self.encode(text)
            ids += h + b + [self.E] + self.nl
            k = 2 if role == "assistant" else 1
            classes += [1] * len(h) + [k] * (len(b) + 1) + [1] * len(self.nl)
        return ids, classes

    def row(self, L):
        """one training row of at most L tokens"""
        rng = self.rng
        x = rng.random()
        if x < (0.10 if L <= 8192 else 0.04):  # natural English
            i = rng.randrange(len(self.prose))
            ids = [self.EOT]
            while len(ids) < L:
                ids += self.encode(self.prose[i % len(self.prose)]) + self.nl
                i += 1
            ids = ids[:L]
            return ids, [1] * len(ids)
        if L <= 1024 and x < (0.16 if L <= 512 else 0.13):  # several small chats after one another
            ids, classes = [], []
            while len(ids) < min(L, 200):
                a, b = self.tokens(self.chat())
                ids, classes = ids + a, classes + b
            return ids[:L], classes[:L]
        if rng.random() < (0.35 if L <= 4096 else 0.25):
            nq = rng.choice((1, 2, 3))
        else:
            nq = min(max(2, L // 160), rng.choice((4, 6, 8, 12, 20, 30) if L <= 4096 else (12, 20, 32, 48)))
        size = int(L * rng.uniform(0.85, 1.0)) - 30 * nq - 60
        for _ in range(4):
            if x < 0.20 and L <= 4096 and size > 300:  # every turn brings its own contents (retrieval augmented chat)
                n = rng.choice((2, 3))
                msgs = []
                for j in range(n):
                    m, _ = self.talk(max(80, size // n - 40), 1, fmt="lc", mode="s")
                    msgs += [z for z in m if z[0] != "system" or j == 0]
            else:
                msgs, _ = self.talk(max(60, size), nq)
            ids, classes = self.tokens(msgs)
            if len(ids) <= L:
                return ids, classes
            size = int(size - (len(ids) - L) - 20)
            nq = max(1, nq - 1)
            if size < 60:
                break
        return ids[:L], classes[:L]

    def eval_case(self, size, typ):
        """one held-out case of about T prompt tokens; typ a question type"""
        rng = self.rng
        if typ == "chat":
            q, a = rng.choice(CHAT_EVAL)
            m = [("user", q)]
            return dict(
                type=typ,
                context_tokens=len(self.tokens(m)[0]) + self.open_len,
                messages=[{"role": "user", "content": q}],
                answer=a,
                value=a,
            )
        mode = "s"
        want = typ
        if typ in ("value_only", "json"):
            want, mode = "single", rng.choice("vV") if typ == "value_only" else rng.choice("jJ")
        T0 = size - 90
        while True:
            msgs, picked = self.talk(T0, 1, want=want, mode=mode)
            if picked[0].type != want:
                continue
            n = len(self.tokens(msgs[:-1])[0]) + self.open_len
            if n > size or (size >= 1000 and n < size * 0.9):
                T0 -= max(20, n - size) if n > size else -20
                continue
            qa = picked[0]
            return dict(
                type=typ,
                context_tokens=n,
                messages=[{"role": a, "content": b} for a, b, *_ in msgs[:-1]],
                answer=msgs[-1][1],
                value=qa.answer if typ == "two_values" else qa.value or qa.answer,
            )


def load_prose(path):
    """The paragraphs that prepare_prose.py wrote."""
    import lzma

    return [p for p in lzma.open(path, "rt", encoding="utf-8").read().split("\n") if p]
