"""Second round of training data: arbitrary strings, many question forms, many answer styles, many text forms.

first_round.py (first round) is kept unchanged: it still defines the first evaluation sets, and a part of the rows.
Every template and word list in this file was written for this project.

    Strings     names and values from word pieces, syllables, letters, and typed values (money, dates, e-mail, ...)
    ATTRS       attributes with synonyms, wh-questions and fact sentences; VERBS2 the same for events
    World2      records, events, notes in some 30 text forms, with questions
    Builder2    rows (a mixture of first-round and second-round data) and held-out cases
"""

import json
import re
from dataclasses import dataclass

import first_round
from first_round import CHAT, MONTHS, NOT_STATED, cap

PIECES = ["ound", "ber", "kel"]  # word pieces of the vocabulary, see load_pieces


def load_pieces(tok):
    """Fill PIECES with the vocabulary's word pieces."""
    PIECES[:] = sorted(
        {t for t in (x.lstrip("\u0120") for x in tok.get_vocab()) if len(t) > 1 and t.isascii() and t.isalpha()}
    )
    if not first_round.RARE:
        first_round.RARE += PIECES


# ----------------------------------------------------------------------------- strings
CONS = "b c d f g h j k l m n p r s t v w z br cr dr fl gl gr kr pl pr sh st th tr sch zh kn qu x".split()
VOW = "a e i o u a e i o u ae ai ea ee ei ie oo ou y".split()
END = [
    "",
    "",
    "",
    "",
    "n",
    "r",
    "s",
    "l",
    "t",
    "d",
    "m",
    "k",
    "x",
    "th",
    "ck",
    "nd",
    "rt",
    "ng",
    "z",
    "sky",
    "son",
    "berg",
    "ez",
    "ov",
]
ACC = {
    "a": "áàâäåã",
    "e": "éèêëě",
    "i": "íîï",
    "o": "óòôöøõ",
    "u": "úùûüů",
    "c": "çčć",
    "n": "ñń",
    "s": "šś",
    "z": "žż",
    "y": "ý",
    "l": "ł",
    "r": "ř",
}
# held out for the second evaluation set
FIRST3 = (
    "Anneliese Bohumil Caoimhe Dagfinn Eustace Ffion Ghislaine Hjalmar Iseult Jerzy Kjersti Ludovic Mireille Njord Oisin Przemysl "
    "Quirin Roisin Siobhan Thaddeus Ursel Vigdis Wojciech Xiomara Yevgenia Zdenka Björn Çelik"
).split()
LAST3 = (
    "Achterberg Bjornstad Czernik Dunwoody Etxeberria Fitzgibbon Grzelak Hrdlicka Ingolfsson Jankauskas Kruszewski Llewellyn McGillicuddy "
    "Ntombela O'Shaughnessy Papadopoulos Quisenberry Rautenberg Szymanski Thistlewood Uzunoglu Vandermeer Wolstenholme Ximenez Ypsilanti Zbikowski Smith-Jørgensen"
).split()
PLACE3 = (
    "Aberystwyth Bydgoszcz Cirencester Dnipro Eindhoven Fredrikstad Gjirokaster Huddersfield Invercargill Kirkcaldy Llandudno Mariupol Ngaoundere "
    "Oaxaca Penzance Querétaro Reykjavik Szczecin Tromsø Ushuaia Vlissingen Whakatane Xalapa Ystad Zakopane"
).split()
PROD3 = "Fizzlewick Snorkan Blubberino Quazzle Trompo Jubjub Wibbly Grommet Zanzilla Pizzicato".split()
STREETW = "Street Road Lane Avenue Way Square Hill Close Drive Boulevard".split()
ORGS2 = "GmbH,Ltd,Inc.,& Sons,Labs,Bank,Foundation,University,Group,AG,Studio,Bros,Cooperative,Clinic,Press,Airlines,Solutions,Works,Consulting,School".split(
    ","
)
TLD = "com org net io de co.uk fr example info eu dev ai".split()
UNITS = "kg,g,km,m,mm,cm,miles,feet,inches,litres,ml,GB,MB,TB,MHz,kWh,watts,volts,amps,degrees,°C,°F,percent,%,mph,km/h,tonnes,acres,hectares,pixels,rpm,bar,lumens,calories,points,people,pages,seats,floors,rooms,employees,boxes,units,pieces,bottles,copies,steps,lux,dB,psi,cups,tablespoons,gallons,pounds,ounces".split(
    ","
)
DUR = "seconds,minutes,hours,days,weeks,months,years,working days,business days,nights,ms,min,h".split(",")
DAYW = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
CONN = "in,under,near,behind,next to,on top of,inside,across from,to the left of,at,below,beside".split(",")
FOOD = "flour butter sugar milk rice salt paint glue water oil sand cement yeast honey cream pepper onions eggs apples lemons screws nails tape soap paper".split()
AGENT = "red blue green old new big small north south east west upper lower main spare second first third broken empty wooden metal glass round square tall short long".split()
THINGS = (
    "cupboard drawer shelf garage basement attic kitchen hallway office cabinet box toolbox desk closet shed locker corridor stairwell reception lobby roof fridge car pantry safe"
).split()


class Strings:
    """Random names and values; the methods that a value type names return one value of it."""

    def __init__(self, rng, held=False):
        self.rng, self.held = rng, held
        self.known = rng.choice((0.15, 0.4, 0.7))  # share of ordinary names
        self.v = first_round.Values(rng, False)

    def letters(self, n, alphabet):
        """n letters of an alphabet."""
        return "".join(self.rng.choices(alphabet, k=n))

    def low(self):
        """one made-up lower-case word"""
        rng = self.rng
        k = rng.random()
        if k < 0.42:
            w = "".join(rng.choice(PIECES) for _ in range(rng.choice((1, 2, 2, 3)))).lower()
        elif k < 0.72:
            w = "".join(rng.choice(CONS) + rng.choice(VOW) for _ in range(rng.choice((1, 2, 2, 3)))) + rng.choice(END)
        elif k < 0.92:
            w = rng.choice(first_round.WORDS)
        else:
            w = self.letters(rng.randrange(3, 8), "abcdefghijklmnopqrstuvwxyz")
        if rng.random() < 0.05:
            i = rng.randrange(len(w))
            if w[i] in ACC:
                w = w[:i] + rng.choice(ACC[w[i]]) + w[i + 1 :]
        return w

    def Cap(self):
        """A made-up capitalised word."""
        rng = self.rng
        if rng.random() < 0.03:
            return "".join(rng.choice(PIECES).capitalize() for _ in range(2))
        return self.low().capitalize()

    def first(self):
        """A first name."""
        if self.held:
            return self.rng.choice(FIRST3)
        return self.rng.choice(first_round.FIRST) if self.rng.random() < self.known else self.Cap()

    def last(self):
        """A last name."""
        rng = self.rng
        if self.held:
            return rng.choice(LAST3)
        if rng.random() < self.known:
            return rng.choice(first_round.LAST)
        k = rng.random()
        if k < 0.8:
            return self.Cap()
        if k < 0.86:
            return rng.choice(("Mc", "O'", "Mac", "D'", "Fitz", "Al-", "De")) + self.Cap()
        if k < 0.93:
            return self.Cap() + "-" + (self.Cap() if rng.random() < 0.6 else rng.choice(first_round.LAST))
        return rng.choice(("van", "von", "de", "van der", "da", "bin", "del", "le")) + " " + self.Cap()

    def person(self):
        """A person, sometimes with title or initials."""
        rng = self.rng
        k = rng.random()
        if k < 0.82:
            return f"{self.first()} {self.last()}"
        if k < 0.87:
            return f"{self.first()} {rng.choice('ABCDEFGHJKLMNPRSTVWZ')}. {self.last()}"
        if k < 0.90:
            return f"{rng.choice('ABCDEFGHJKLMNPRSTVWZ')}. {self.last()}"
        if k < 0.94:
            return f"{rng.choice(('Dr.', 'Dr', 'Mr', 'Mrs', 'Ms', 'Prof.', 'Sir', 'Aunt', 'Uncle', 'Sister'))} {self.last()}"
        if k < 0.98:
            return self.first()
        return f"{self.first()} {self.first()} {self.last()}"

    def place(self):
        """A place."""
        rng = self.rng
        if self.held:
            return rng.choice(PLACE3)
        k = rng.random()
        if k < self.known * 0.8:
            return rng.choice(first_round.CITY)
        if k < 0.8:
            return self.Cap()
        return rng.choice(
            (
                f"San {self.Cap()}",
                f"Port {self.Cap()}",
                f"New {self.Cap()}",
                f"{self.Cap()}ville",
                f"St. {self.Cap()}",
                f"{self.Cap()} Bay",
                f"Upper {self.Cap()}",
                f"{self.Cap()}-on-{self.Cap()}",
                f"{self.Cap()}, {self.Cap()}",
            )
        )

    def org(self):
        """An organisation."""
        b = (
            self.rng.choice(LAST3)
            if self.held
            else self.Cap()
            if self.rng.random() < 0.7
            else self.rng.choice(first_round.LAST)
        )
        return f"{b} {self.rng.choice(ORGS2 if self.rng.random() < 0.6 else first_round.ORG_END)}"

    def product(self):
        """A product."""
        rng = self.rng
        b = rng.choice(PROD3) if self.held else self.Cap() if rng.random() < 0.75 else rng.choice(first_round.BRAND)
        k = rng.random()
        if k < 0.45:
            return f"{b} {rng.choice(('', 'X', 'Mini ', 'Pro ', 'S', 'MK', 'Plus ', 'v'))}{rng.randrange(1, 10000)}"
        if k < 0.6:
            return f"{b} {self.Cap()}"
        if k < 0.7:
            return self.letters(rng.choice((2, 3)), "ABCDEFGHJKLMNPQRSTUVWXYZ") + "-" + str(rng.randrange(10, 9999))
        return b

    def phrase(self):
        """A few random words."""
        rng = self.rng
        return " ".join(
            rng.choice(first_round.WORDS) if rng.random() < 0.75 else self.low()
            for _ in range(rng.choice((1, 2, 2, 3, 4)))
        )

    def obj(self):
        """A thing with its article."""
        rng = self.rng
        k = rng.random()
        if k < 0.2:
            return "the " + rng.choice(first_round.ITEM)
        if k < 0.5:
            return f"the {rng.choice(AGENT)} {rng.choice(THINGS)}"
        if k < 0.85:
            return f"the {rng.choice(first_round.WORDS)} {rng.choice(first_round.WORDS) if rng.random() < 0.6 else self.low()}"
        return "the " + self.Cap() + " " + rng.choice(THINGS)

    # typed values
    def money(self):
        """An amount of money in one of many forms."""
        rng = self.rng
        n = rng.choice((rng.randrange(1, 100), rng.randrange(100, 10000), rng.randrange(1000, 1000000) // 10 * 10))
        k = rng.randrange(12)
        if k < 3:
            return f"${n:,}"
        if k == 3:
            return f"{n} euros"
        if k == 4:
            return f"€{n:,}"
        if k == 5:
            return f"£{n}.{rng.randrange(100):02d}"
        if k == 6:
            return f"{n} EUR"
        if k == 7:
            return f"USD {n:,}"
        if k == 8:
            return f"{rng.randrange(1, 90)}.{rng.randrange(10)} million {rng.choice(('dollars', 'euros', 'pounds', 'yen'))}"
        if k == 9:
            return f"${n}.{rng.randrange(100):02d}"
        if k == 10:
            return f"{n} {rng.choice(('dollars', 'pounds', 'CHF', 'kr', 'zł', 'yen', 'rupees', 'GBP'))}"
        return f"{rng.randrange(2, 900)}k"

    def date(self):
        """A date in one of many forms."""
        rng = self.rng
        d, m, y = rng.randrange(1, 29), rng.randrange(12), rng.randrange(1900, 2040)
        k = rng.randrange(12)
        if k < 3:
            return f"{d} {MONTHS[m]} {y}"
        if k == 3:
            return f"{MONTHS[m]} {d}, {y}"
        if k == 4:
            return f"{y}-{m + 1:02d}-{d:02d}"
        if k == 5:
            return f"{d:02d}/{m + 1:02d}/{y}"
        if k == 6:
            return f"{d}.{m + 1}.{y}"
        if k == 7:
            return f"{rng.choice(DAYW)}, {d} {MONTHS[m]}"
        if k == 8:
            return f"{MONTHS[m]} {y}"
        if k == 9:
            return f"{MONTHS[m]} {d}"
        if k == 10:
            return rng.choice(DAYW)
        return str(y)

    def clock(self):
        """A time of day."""
        rng = self.rng
        h, m = rng.randrange(24), rng.choice((0, 0, 15, 30, 45, rng.randrange(60)))
        k = rng.randrange(6)
        if k < 3:
            return f"{h}:{m:02d}"
        if k == 3:
            return f"{h % 12 + 1} {rng.choice(('am', 'pm'))}"
        if k == 4:
            return f"{h % 12 + 1}:{m:02d} {rng.choice(('am', 'pm', 'AM', 'PM'))}"
        return rng.choice(("noon", "midnight", f"{h % 12 + 1} o'clock", f"{h:02d}{m:02d} hours"))

    def hours(self):
        """Opening hours."""
        rng = self.rng
        a, b = rng.randrange(6, 12), rng.randrange(13, 23)
        return rng.choice(
            (
                f"{a} am to {b - 12} pm",
                f"{a}:00-{b}:00",
                f"{a}:30 to {b}:00",
                f"Mon-Fri {a}-{b}",
                f"{rng.choice(DAYW)} to {rng.choice(DAYW)}",
                f"from {a} to {b - 12}",
                f"{a}am-{b - 12}pm",
            )
        )

    def dur(self):
        """A duration."""
        return f"{self.rng.choice((self.rng.randrange(2, 60), self.rng.randrange(2, 500)))} {self.rng.choice(DUR)}"

    def qty(self):
        """A quantity with its unit."""
        rng = self.rng
        n = rng.choice(
            (
                str(rng.randrange(1, 100)),
                f"{rng.randrange(100, 99999):,}",
                f"{rng.randrange(0, 100)}.{rng.randrange(1, 100)}",
                str(rng.randrange(100, 5000)),
            )
        )
        u = rng.choice(UNITS)
        return n + ("" if u in ("%", "°C", "°F") or rng.random() < 0.08 else " ") + u

    def num(self):
        """A number."""
        rng = self.rng
        if rng.random() < 0.06:
            return rng.choice(
                "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty".split()
            )
        return rng.choice(
            (
                str(rng.randrange(0, 100)),
                str(rng.randrange(100, 10000)),
                f"{rng.randrange(1000, 999999):,}",
                str(rng.randrange(1, 20)),
            )
        )

    def code(self):
        """A code in one of many forms."""
        rng = self.rng
        k = rng.randrange(12)
        U, D = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
        L = self.letters
        if k == 0:
            return L(rng.randrange(3, 10), D)
        if k == 1:
            return L(rng.randrange(4, 10), U + D)
        if k == 2:
            return L(rng.choice((6, 8, 12, 16)), "0123456789abcdef")
        if k == 3:
            return "-".join(L(rng.choice((2, 3, 4)), U + D) for _ in range(rng.choice((2, 3))))
        if k == 4:
            return f"{L(1, U)}{L(3, D)}"
        if k == 5:
            return "#" + L(rng.choice((3, 4, 5)), D)
        if k == 6:
            return f"{L(2, U)}{L(2, D)} {L(3, U)}"
        if k == 7:
            return f"{self.low()}_{L(2, D)}"
        if k == 8:
            return f"{L(2, U)}/{L(4, D)}/{L(2, D)}"
        if k == 9:
            return f"{L(3, U)}-{L(4, D)}"
        if k == 10:
            return " ".join(L(4, D) for _ in range(rng.choice((2, 3))))
        return self.v.code()

    def password(self):
        """A password."""
        rng = self.rng
        k = rng.randrange(6)
        if k == 0:
            return self.letters(rng.randrange(6, 12), "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!#%&*")
        if k == 1:
            return "-".join(self.low() for _ in range(rng.choice((2, 3, 4))))
        if k == 2:
            return self.Cap() + rng.choice("!#_-&@") + str(rng.randrange(10, 9999))
        if k == 3:
            return self.low() + str(rng.randrange(1, 10000))
        if k == 4:
            return self.Cap() + self.Cap() + str(rng.randrange(10, 100))
        return self.low()

    def email(self):
        """An e-mail address."""
        rng = self.rng
        a = rng.choice(
            (
                self.low(),
                f"{self.low()}.{self.low()}",
                f"{self.low()}{rng.randrange(1, 100)}",
                f"{self.low()}_{self.low()}",
                rng.choice(("info", "support", "sales", "help", "office")),
            )
        )
        return f"{a}@{self.low()}.{rng.choice(TLD)}"

    def url(self):
        """A web address or path."""
        rng = self.rng
        return f"{rng.choice(('https://', 'http://', 'www.', ''))}{self.low()}.{rng.choice(TLD)}" + rng.choice(
            ("", "", "/" + self.low(), f"/{self.low()}/{rng.randrange(1, 999)}", ":8080")
        )

    def phone(self):
        """A telephone number."""
        rng = self.rng
        D = lambda n: self.letters(n, "0123456789")
        return rng.choice(
            (
                f"+{rng.randrange(1, 99)} {D(3)} {D(6)}",
                f"{D(3)}-{D(4)}",
                f"({D(3)}) {D(3)}-{D(4)}",
                f"0{D(4)} {D(6)}",
                f"+{rng.randrange(1, 99)}-{D(3)}-{D(7)}",
                f"{D(3)} {D(2)} {D(2)}",
            )
        )

    def version(self):
        """A version."""
        rng = self.rng
        return rng.choice(
            (
                f"{rng.randrange(20)}.{rng.randrange(30)}",
                f"v{rng.randrange(9)}.{rng.randrange(20)}.{rng.randrange(40)}",
                f"{rng.randrange(20)}.{rng.randrange(30)}.{rng.randrange(99)}",
                f"{rng.randrange(9)}.{rng.randrange(9)}-rc{rng.randrange(1, 9)}",
                f"{self.Cap()} {rng.randrange(1, 30)}",
                f"{rng.randrange(2000, 2030)}.{rng.randrange(1, 13)}",
            )
        )

    def net(self):
        """A network address or host."""
        rng = self.rng
        return rng.choice(
            (
                ".".join(str(rng.randrange(256)) for _ in range(4)),
                str(rng.randrange(1000, 65000)),
                f"{self.low()}-{rng.randrange(1, 99)}.{self.low()}.local",
                f"/{self.low()}/{self.low()}/{self.low()}.{rng.choice(('conf', 'yml', 'log', 'txt', 'db'))}",
                f"C:\\{self.Cap()}\\{self.low()}",
            )
        )

    def spot(self):
        """A place in a room."""
        rng = self.rng
        return f"{rng.choice(CONN)} the {rng.choice(AGENT) + ' ' if rng.random() < 0.6 else ''}{rng.choice(THINGS)}"

    def addr(self):
        """A street address."""
        rng = self.rng
        a = f"{rng.randrange(1, 300)} {self.Cap()} {rng.choice(STREETW)}"
        return (
            a
            if rng.random() < 0.6
            else f"{a}, {self.place()}"
            if rng.random() < 0.6
            else f"{self.Cap()}strasse {rng.randrange(1, 200)}"
        )

    def word(self):
        """A short word value."""
        rng = self.rng
        k = rng.random()
        if k < 0.3:
            return self.Cap()
        if k < 0.55:
            return rng.choice(
                first_round.COLOR
                + "yes no none daily weekly monthly high low medium vegan optional mandatory free closed open pending active leather cotton English Spanish German French Japanese".split()
            )
        if k < 0.8:
            return self.phrase()
        return self.low()

    def many(self):
        """Two or three values in a row."""
        rng = self.rng
        w = [
            self.phrase() if rng.random() < 0.5 else self.Cap() if rng.random() < 0.5 else rng.choice(first_round.ITEM)
            for _ in range(rng.choice((2, 3, 3, 4)))
        ]
        return ", ".join(w[:-1]) + " and " + w[-1]

    def val(self, t):
        """A value of the type t."""
        return getattr(self, t)()


# ----------------------------------------------------------------------------- attributes
# nouns (first one canonical) | value types | questions | fact sentences
ATTRS = []
for _l in """price/cost/charge/rate|money|How much does {e} cost?/How much is {e}?/What does {e} cost?/How expensive is {e}?/What would I pay for {e}?|{E} costs {v}./You pay {v} for {e}./{E} is available for {v}./{E} goes for {v}.
phone number/telephone number/contact number/number to call/mobile number|phone|How can I call {e}?/What number should I call for {e}?/Which number reaches {e}?|{E} can be called on {v}./To reach {e}, call {v}./Call {v} for {e}.
email address/e-mail/email/mail address/contact email|email|How do I email {e}?/Where do I send mail for {e}?/What address do I write to for {e}?|You can email {e} at {v}./Write to {v} to reach {e}./{E} answers mail at {v}.
website/web page/homepage/URL/site address|url|Where is {e} online?/What is the link for {e}?/Where can I find {e} on the web?|{E} is online at {v}./See {v} for {e}./More about {e}: {v}.
password/passcode/passphrase/login password|password|How do I log in to {e}?/What do I type to log in to {e}?|Log in to {e} with {v}./{E} opens with the password {v}./Use {v} to log in to {e}.
opening hours/hours/business hours/open times|hours|When is {e} open?/What are the hours of {e}?/How long is {e} open?|{E} is open {v}./Visit {e} {v}.
address/street address/postal address|addr|Where is {e}?/Where do I find {e}?/Where should I go for {e}?|{E} is at {v}./You find {e} at {v}./{E} can be found at {v}.
location/place/whereabouts|place,spot|Where is {e}?/Where can I find {e}?/Where is {e} located?|{E} is located {v}./You will find {e} {v}.
birthday/date of birth/birth date|date|When was {e} born?/When is the birthday of {e}?|{E} was born on {v}./{E} celebrates a birthday on {v}.
age|num|How old is {e}?|{E} is {v} years old./{E} turned {v}.
height|qty|How tall is {e}?/How high is {e}?|{E} is {v} tall./{E} measures {v} in height.
weight|qty|How much does {e} weigh?/What does {e} weigh?|{E} weighs {v}./{E} has a weight of {v}.
length|qty|How long is {e}?|{E} is {v} long./{E} has a length of {v}.
size/dimensions|qty|How big is {e}?/How large is {e}?|{E} measures {v}./{E} has a size of {v}.
duration/running time/length of time|dur|How long does {e} take?/How long does {e} last?|{E} takes {v}./{E} lasts {v}./It takes {v} to finish {e}.
start time/starting time/beginning|clock|When does {e} start?/What time does {e} begin?/At what time does {e} start?|{E} starts at {v}./{E} begins at {v}./The start of {e} is at {v}.
end time/closing time|clock|When does {e} end?/What time does {e} finish?/When is {e} over?|{E} ends at {v}./{E} is over at {v}./{E} finishes at {v}.
date/day|date|When is {e}?/On what day is {e}?/When does {e} take place?|{E} is on {v}./{E} takes place on {v}./{E} was set for {v}.
due date/deadline/cut-off date|date|When is {e} due?/By when do we need {e}?/When must {e} be done?|{E} is due {v}./{E} must be done by {v}./We need {e} by {v}.
founding year/year of foundation/year founded|date|When was {e} founded?/When was {e} established?/When did {e} start up?|{E} was founded in {v}./{E} has existed since {v}./{E} was set up in {v}.
owner/proprietor|person,org|Who owns {e}?/Who does {e} belong to?/Whose is {e}?|{V} owns {e}./{E} belongs to {v}./{E} is owned by {v}.
manager/boss/supervisor/head/person in charge|person|Who runs {e}?/Who manages {e}?/Who is in charge of {e}?/Who heads {e}?|{V} runs {e}./{E} is managed by {v}./{V} is in charge of {e}./{E} is headed by {v}.
author/writer|person|Who wrote {e}?/Who is {e} by?|{E} was written by {v}./{V} wrote {e}./{E} is by {v}.
founder/creator|person|Who founded {e}?/Who started {e}?/Who created {e}?|{V} founded {e}./{E} was started by {v}./{E} was created by {v}.
contact/contact person/person to ask|person|Who do I ask about {e}?/Who should I contact about {e}?/Whom do I talk to about {e}?|Ask {v} about {e}./For questions on {e}, contact {v}./{V} can help with {e}.
teacher/instructor|person|Who teaches {e}?/Who gives {e}?|{V} teaches {e}./{E} is taught by {v}.
doctor/physician|person|Who treats {e}?|{V} treats {e}./{E} sees {v}.
wife/spouse/husband/partner|person|Who is {e} married to?/Who did {e} marry?|{E} is married to {v}./{E} married {v}.
employer/company|org|Who does {e} work for?/Where is {e} employed?|{E} works for {v}./{E} is employed at {v}.
occupation/job/profession/position|word|What does {e} do for a living?/What does {e} work as?|{E} works as a {v}./{E} is a {v} by trade.
hometown/home town/residence|place|Where does {e} live?/Where does {e} come from?/Where is {e} from?|{E} lives in {v}./{E} comes from {v}./{E} is from {v}.
birthplace/place of birth|place|Where was {e} born?|{E} was born in {v}.
destination|place|Where does {e} go?/Where is {e} going?/Where does {e} lead?|{E} goes to {v}./{E} leads to {v}./{E} is on the way to {v}.
colour/color|word|What colour is {e}?/Which color does {e} have?|{E} is painted {v}./{E} comes in {v}.
material|word|What is {e} made of?/What is {e} made from?|{E} is made of {v}./{E} consists of {v}.
brand/make/manufacturer/maker|org,product|Who makes {e}?/Who built {e}?|{E} is made by {v}./{V} makes {e}.
model|product|Which model is {e}?|{E} is a {v}.
serial number/serial no./S/N|code|Which serial number does {e} have?|{E} carries the serial number {v}.
order number/order no./reference/order id|code|Under which number was {e} ordered?|{E} was ordered under {v}./{E} has the order number {v}.
room/room number|code,num|Which room is {e} in?/In which room is {e}?|{E} is in room {v}./{E} takes place in room {v}.
PIN/pin code/pin number|num|What do I enter for {e}?/How do I unlock {e}?|{E} unlocks with {v}./The PIN for {e} is {v}.
username/login/user name/login name|code,password|Which user do I log in as on {e}?|Log in to {e} as {v}.
IP address/IP/host address|net|Where does {e} run?/Which host runs {e}?|{E} runs on {v}./{E} listens on {v}.
port|num|Which port does {e} use?/On which port does {e} listen?|{E} listens on port {v}./{E} uses port {v}.
version/release|version|Which version of {e} is used?/What version does {e} have?|{E} is at version {v}./We use {e} {v}.
licence/license|word,version|Under which licence is {e}?/How is {e} licensed?|{E} is licensed under {v}./{E} is released under {v}.
default/default value/preset|num,word,password|What is {e} by default?/What does {e} default to?|{E} defaults to {v}./By default {e} is {v}.
limit/maximum/cap/upper limit|qty,num|What is the most for {e}?/How much is allowed for {e}?|{E} is limited to {v}./{E} may not exceed {v}./At most {v} is allowed for {e}.
minimum/lower limit|qty,num|What is the least for {e}?|{E} needs at least {v}.
capacity|qty,num|How much does {e} hold?/How many fit in {e}?|{E} holds {v}./{E} has room for {v}.
speed/top speed|qty|How fast is {e}?|{E} reaches {v}./{E} runs at {v}.
temperature|qty|How hot is {e}?/How warm is {e}?/How cold is {e}?|{E} is kept at {v}./Keep {e} at {v}.
distance|qty|How far is {e}?/How far away is {e}?|{E} is {v} away./It is {v} to {e}.
score/result/mark/grade|num|How did {e} do?/What did {e} score?|{E} scored {v}./{E} got {v}.
status/state|word|How is {e} going?/What is happening with {e}?|{E} is {v} at the moment./{E} is now {v}.
reason/cause|phrase|Why was {e} cancelled?/Why did {e} fail?/What caused {e}?|{E} failed because of {v}./{E} was cancelled because of {v}./{E} was caused by {v}.
purpose/use|phrase|What is {e} for?/What is {e} used for?|{E} is used for {v}./{E} is for {v}.
allergy|phrase|What is {e} allergic to?|{E} is allergic to {v}.
favourite food/favorite food|phrase|What does {e} like to eat?|{E} loves {v}./{E} likes to eat {v}.
pet/pet name|Cap|What is the pet of {e} called?|{E} has a pet called {v}.
nickname|Cap,low|What do people call {e}?/How is {e} called?|People call {e} {v}./{E} is known as {v}.
language|word|Which language does {e} use?/What language is {e} in?|{E} is written in {v}./{E} uses {v}.
frequency/interval|dur,word|How often does {e} happen?/How often is {e} done?|{E} is done every {v}./{E} happens every {v}.
dose/dosage|qty|How much of {e} should I take?|Take {v} of {e}./{E} is given at {v}.
supplier/vendor|org|Who supplies {e}?/Where do we buy {e}?|{V} supplies {e}./We buy {e} from {v}.
customer/client|org,person|Who ordered {e}?/Who is {e} for?|{E} is for {v}./{V} ordered {e}.
winner|person,org|Who won {e}?|{V} won {e}./{E} was won by {v}.
salary/pay/wage|money|How much does {e} earn?/How much is {e} paid?|{E} earns {v}./{E} is paid {v}.
budget|money|How much money is there for {e}?|{E} has {v} to spend./There is {v} for {e}.
battery life/runtime|dur|How long does {e} run?|{E} runs for {v}.
warranty/guarantee|dur|How long is the guarantee on {e}?|{E} is covered for {v}./{E} comes with {v} of warranty.
ingredients/contents/components|many|What is in {e}?/What does {e} contain?|{E} contains {v}./{E} is made with {v}.
members/participants/attendees|many|Who takes part in {e}?/Who is in {e}?|{V} are in {e}./{V} take part in {e}.""".split(
    "\n"
):
    _n, _t, _q, _f = _l.replace("S/N", "SN").split("|")
    ATTRS.append((_n.split("/"), _t.split(","), _q.split("/"), _f.split("/")))
# held out
ATTRS3 = [
    (["wingspan"], ["qty"], ["How wide are the wings of {e}?"], []),
    (["blood type"], ["code"], [], []),
    (["shoe size"], ["num"], ["What shoes does {e} wear?"], []),
    (["seat letter"], ["code"], [], []),
    (["thread count"], ["num"], [], []),
    (["visa type"], ["word"], [], []),
    (["godmother"], ["person"], [], []),
    (["bell code"], ["code"], [], []),
    (["humidity"], ["qty"], ["How damp is {e}?"], []),
    (["nearest tram stop"], ["place"], [], []),
]
PLURAL = {
    "opening hours",
    "hours",
    "business hours",
    "open times",
    "dimensions",
    "ingredients",
    "contents",
    "components",
    "members",
    "participants",
    "attendees",
}
TYPE3 = (
    "money phone email url password hours addr place date num qty dur clock person org word code product version net phrase"
).split()

GF = [
    "The {a} of {e} is {v}.",
    "The {a} for {e} is {v}.",
    "{E} has the {a} {v}.",
    "{E}'s {a} is {v}.",
    "As for {e}, the {a} is {v}.",
    "For {e}, the {a} was set to {v}.",
    "{V} is the {a} of {e}.",
    "{E}: {a} {v}.",
    "{a1} of {e}: {v}",
    "{E} - {a}: {v}",
    "The {a} of {e} was given as {v}.",
    "We noted {v} as the {a} of {e}.",
    "With {e} the {a} is {v}.",
    "{E} (the {a} is {v}) was checked again.",
    "{a1} ({e}): {v}",
    "{E} has {v} as {a}.",
    "{E}, {a} {v}, is on the list.",
    "Note that {e} has a {a} of {v}.",
    "{a1} for {e} = {v}",
    "Remember: the {a} for {e} is {v}.",
    "It was confirmed that the {a} of {e} is {v}.",
    "The {a} at {e} is {v}.",
    "{E} now uses the {a} {v}.",
    "If anyone asks, the {a} of {e} is {v}.",
    "{E}'s {a} was changed to {v} last week.",
    "I think the {a} of {e} is {v}.",
]
BF = [
    "The {a} is {v}.",
    "Our {a} is {v}.",
    "{V} is the {a}.",
    "{a1}: {v}",
    "{a1} = {v}",
    "The {a} has been set to {v}.",
    "Please use {v} as the {a}.",
    "The {a} will be {v}.",
    "The {a} was {v}.",
    "- {a}: {v}",
    "- {a1}: {v}",
    "* {a} - {v}",
    "The current {a} is {v}.",
    "Note: the {a} is {v}.",
    "The {a} here is {v}.",
    "For the {a} we chose {v}.",
    "{a1} -> {v}",
    "As {a} we have {v}.",
    "{a1} is {v}.",
    "Your {a} is {v}.",
    "My {a} is {v}.",
]

# ----------------------------------------------------------------------------- events: groups of verbs with one meaning (base past)
VERBS2 = [
    [tuple(w.split(":")) for w in g.split()]
    for g in """buy:bought purchase:purchased acquire:acquired
repair:repaired fix:fixed mend:mended
write:wrote compose:composed
build:built construct:constructed
find:found discover:discovered
sell:sold
paint:painted
clean:cleaned wash:washed
open:opened
close:closed shut:shut
break:broke damage:damaged
steal:stole take:took
borrow:borrowed
design:designed
invent:invented
visit:visited tour:toured
win:won
lose:lost misplace:misplaced
deliver:delivered bring:brought
order:ordered request:requested
cancel:cancelled call_off:called_off
approve:approved authorise:authorised
reject:rejected refuse:refused
inspect:inspected examine:examined check:checked
install:installed set_up:set_up
remove:removed take_away:took_away
hide:hid conceal:concealed
store:stored keep:kept
move:moved relocate:relocated
test:tested try_out:tried_out
film:filmed record:recorded
donate:donated give_away:gave_away
start:started begin:began launch:launched
finish:finished complete:completed
review:reviewed
photograph:photographed
cook:cooked prepare:prepared
eat:ate
plant:planted grow:grew
teach:taught
study:studied
publish:published release:released
sign:signed
measure:measured
cut:cut
lock:locked
unlock:unlocked
replace:replaced exchange:exchanged
wrap:wrapped
pack:packed
send:sent ship:shipped mail:mailed
receive:received get:got
rent:rented hire:hired
decorate:decorated
destroy:destroyed demolish:demolished
guard:guarded watch:watched
praise:praised
criticise:criticised
describe:described
draw:drew sketch:sketched
carry:carried
hang_up:hung_up
restore:restored renovate:renovated
report:reported
update:updated upgrade:upgraded
delete:deleted erase:erased""".split("\n")
]
VERBS3 = [
    [(a, b)]
    for a, b in (
        ("embroider", "embroidered"),
        ("smuggle", "smuggled"),
        ("tune", "tuned"),
        ("excavate", "excavated"),
        ("auction", "auctioned"),
        ("sharpen", "sharpened"),
        ("polish", "polished"),
        ("rescue", "rescued"),
    )
]
PART = {
    "wrote": "written",
    "broke": "broken",
    "stole": "stolen",
    "took": "taken",
    "began": "begun",
    "ate": "eaten",
    "grew": "grown",
    "drew": "drawn",
    "hid": "hidden",
    "got": "got",
    "took away": "taken away",
    "gave away": "given away",
}

# ----------------------------------------------------------------------------- questions
LEAD = (
    "tell me|give me|show me|find|find me|get me|send me|I need|I need to know|I want|I want to know|we need|help me find|let me know|let me have|can you find|can you tell me|could you tell me|could you give me|could you find out|please tell me|"
    "please give me|pls give me|plz tell me|any chance you know|do you happen to know|do you know|I'm trying to find|trying to find|I'd love to know|I was wondering about|I'm curious about|remind me of|what does it say about|what does the document say about|"
    "what do the docs say about|is there anything about|anything on|any info on|info on|details on|search:|query:|lookup:|extract|read me|pull up|check|check for me|quickly:|say|name|what is|what is|what is|what's|what's|whats|what was|what would be|and|what about|how about|"
    "so what's|ok and|can i get|may I have|who knows|where can I read|please find|please provide|provide|fetch|retrieve|report|identify|in the text, what is|according to this, what is|from the above, what is|based on this, give|"
    "using the document, give|I forgot|I can't find|looking for|question:|could I have|you have|is there|hi, what's|hello, I need|hey what is|list|write down|what do we have for|what do we know about|what did they say about|what can you say about"
).split("|")
TAIL = [
    "",
    "",
    "",
    "",
    "",
    "?",
    "?",
    "?",
    "?",
    ".",
    " please",
    ", please",
    " please?",
    " thanks",
    " asap",
    " again?",
    " exactly?",
    " here?",
    " in this text?",
    " according to this?",
    " in the document?",
    " in the file?",
    "??",
    "!",
    ", thanks",
    " in there?",
    " now?",
    " then?",
    " (from the text)",
]
NP = (
    ["the {a} of {e}"] * 8
    + ["the {a} for {e}"] * 3
    + ["{e}'s {a}"] * 3
    + [
        "{e} {a}",
        "{a} {e}",
        "{a} of {e}",
        "{a} for {e}",
        "the {a} at {e}",
        "the {a} in {e}",
        "{a} - {e}",
        "{e}: {a}",
        "{e}, {a}",
        "the exact {a} of {e}",
        "the {a} on {e}",
        "the {a} that {e} has",
        "the {a} listed for {e}",
        "which {a} {e} has",
        "the {a} belonging to {e}",
        "{e} and its {a}",
        "the {a} ({e})",
        "the right {a} for {e}",
        "the full {a} of {e}",
        "{a} ({e})",
        "the {a} mentioned for {e}",
        "the {a} related to {e}",
        "the current {a} of {e}",
    ]
)
BNP = ["the {a}"] * 6 + [
    "{a}",
    "{a}",
    "our {a}",
    "your {a}",
    "my {a}",
    "their {a}",
    "the correct {a}",
    "the current {a}",
    "the {a} in the text",
    "a {a}",
    "the exact {a}",
    "this {a}",
    "the {a} there",
]
Q3 = [
    "Hey, could you check what {phrase} might be?",
    "Mind telling me {phrase}?",
    "I can't seem to remember {phrase}, what was it again?",
    "Somebody wants to know {phrase}; what should I answer?",
    "{phrase} - do we have that anywhere?",
    "If I had to fill in {phrase}, what would I write?",
    "My boss is asking about {phrase}.",
    "So, {phrase}... what is it?",
    "Got {phrase} handy?",
    "can u find {phrase} pls",
]
FOLLOW = [
    "And {phrase}?",
    "What about {phrase}?",
    "and {phrase}",
    "ok, and {phrase}?",
    "Also {phrase}?",
    "Then {phrase}?",
    "How about {phrase}?",
    "And what is {phrase}?",
    "Next, {phrase}.",
    "now {phrase}",
    "Same for {phrase}?",
]
FOLLOW3 = ["Right, and now {phrase}?", "While you are at it: {phrase}?"]
REV = [
    "Which {t} has the {a} {v}?",
    "Who or what has the {a} {v}?",
    "What has the {a} {v}?",
    "Which one has {v} as {a}?",
    "Find the {t} with the {a} {v}.",
    "{v} is the {a} of which {t}?",
    "{v}: whose {a} is that?",
    "Whose {a} is {v}?",
    "Which {t} is listed with {v}?",
    "What does {v} belong to?",
    "the {t} with {a} {v}?",
    "Name the {t} whose {a} is {v}.",
    "Which {t} does {v} belong to?",
    "I have the {a} {v}. Which {t} is it?",
    "{v} - which {t} is that?",
    "The {a} {v} belongs to what?",
    "Tell me which {t} has {a} {v}.",
    "who has {a} {v}",
    "which {t} has {v}?",
    "For which {t} is the {a} {v}?",
    "In which {t} is the {a} {v}?",
    "Where do I find the {a} {v}?",
    "{a} {v}, which {t}?",
    "Give me the {t} with the {a} {v}.",
]
REV3 = [
    "I only know the {a}, {v}; what {t} could that be?",
    "Does {v} ring a bell? Which {t}?",
    "The {a} reads {v}. What {t} am I dealing with?",
]
ZTHING = "animal"
TH = "person,hotel,device,project,product,customer,employee,server,recipe,book,course,room,vehicle,city,company,event,patient,player,tool,package,service,machine,plant,film,song,restaurant,building,team,order,account,department,member,student,supplier,station,game,school,country,planet,animal shelter,shop,library,module,function,component,job,task,ticket,invoice,drug,disease,sensor,camera,phone,laptop,bridge,river,mountain,museum,park,race,flight,train,bus line,café,farm,drink,dish,tenant,flat,guest,speaker,session,volunteer,branch,office,warehouse,lab,sample,test,version,release,database,table,user,group".split(
    ","
)

# ----------------------------------------------------------------------------- answer styles
IV = "answer with,reply with,respond with,return,output,give,give me,write,print,say,provide,send,show,answer using,reply using,type,I want,I need".split(
    ","
)
IO = ["only ", "just ", "simply ", "solely ", "merely ", "only ", "just ", "exclusively "]
IT = {
    "": "the value,the answer,the answer itself,the bare value,the raw value,the result,the requested value,what was asked for,the fact itself,the plain answer,the exact text,the term".split(
        ","
    ),
    "num": "the number,the figure,the digits,the amount,the numeric value".split(","),
    "person": "the name,the person's name,the full name".split(","),
    "date": "the date,the day".split(","),
    "code": "the code,the string,the identifier".split(","),
    "place": "the place,the name,the location".split(","),
}
IN = [
    ", nothing else",
    ", no sentence",
    ", no full sentence",
    " without explanation",
    " and no other words",
    ", no extra text",
    ". No explanation",
    ". Do not explain",
    ". Don't write a full sentence",
    ". Skip the rest",
    ", please",
    "",
    "",
    "",
    " and stop",
    ", without any other words",
    ", no comments",
    ". Leave out everything else",
    ", not a sentence",
    " - no words around it",
    " with no introduction",
]
IS = [
    "one word only",
    "single word answer",
    "in one word",
    "one word",
    "short answer",
    "short answer please",
    "be terse",
    "keep it short",
    "as short as possible",
    "in as few words as possible",
    "max 3 words",
    "no more than five words",
    "value only",
    "only the value",
    "no prose",
    "no sentences please",
    "bare answer",
    "no full sentences",
    "short",
    "just the answer",
    "answer only",
    "shortest answer",
    "don't repeat the question",
    "no sentence",
    "minimal answer",
    "keyword answer",
    "raw answer",
    "in two words",
    "Do not use sentences",
    "Answer in a few words",
    "Use as few words as you can",
    "Answer like a database",
    "Answer tersely",
    "Your reply must be the value alone",
    "Don't form a sentence",
]
ISN = [
    "just the number",
    "number only",
    "digits only",
    "only the number please",
    "Just tell me the number",
    "a number",
    "numeric answer",
]
ISP = ["just the name", "name only", "only the name please", "Just a name"]
IFULL = [
    "Answer in a full sentence.",
    "Use a complete sentence.",
    "Write a whole sentence.",
    "Full sentence please.",
    "Reply in a sentence.",
    "Please answer with a sentence.",
    "in a full sentence",
    "Give your answer as a sentence.",
    "One sentence.",
    "Respond in one sentence.",
]
IQ = [
    "Quote the sentence that says so.",
    "Copy the sentence with the answer.",
    "Quote the original line.",
    "Answer by quoting the text.",
    "Give me the exact sentence from the document.",
    "Show the line where it stands.",
    "Reply with a quote.",
    "Repeat the sentence from the text.",
    "Quote it word for word.",
]
KEYS = "answer,value,result,output,response,reply,data,text,content,fact,item,field,answer,answer,info,solution".split(
    ","
)
IJ = [
    'Answer in JSON with the key "{k}".',
    'Return a JSON object: {{"{k}": ...}}',
    "JSON only, key {k}.",
    'Output JSON like {{"{k}": "..."}}',
    'Format: {{"{k}": "<value>"}}',
    'Answer as {{"{k}": value}}',
    "Give me json with the field {k}",
    'You must answer strictly in the following JSON format: {{\n"{k}": (type: string)\n}}',
    'Use this schema: {{"type": "object", "properties": {{"{k}": {{"type": "string"}}}}}}',
    'Your reply must be valid JSON with exactly one key, "{k}".',
    'Reply in JSON: {{"{k}": string}}',
    'Produce {{"{k}": ...}} and nothing else.',
    'Only JSON. Key: "{k}".',
    "as json ({k})",
    'Wrap the value in JSON under "{k}".',
    'JSON please, like {{"{k}": null}}',
    'Return only JSON matching {{"{k}": "string"}}.',
    'Write the answer into the JSON field "{k}".',
]
I3V = [
    "Strip it down to the value.",
    "I don't want any sentence, the value will do.",
    "No chatter, simply what I asked for.",
    "Leave it at the value.",
    "Bare minimum reply: the value.",
]
I3J = ['Put what you find into {{"{k}": "..."}}.', 'Machine-readable please: a JSON object whose only key is "{k}".']
K3 = ["finding", "payload", "answer"]


def typo(rng, w):
    """The word w with a typing error."""
    if len(w) < 4:
        return w
    i = rng.randrange(1, len(w) - 1)
    k = rng.randrange(3)
    return w[:i] + w[i + 1 :] if k == 0 else w[:i] + w[i + 1] + w[i] + w[i + 2 :] if k == 1 else w[:i] + w[i] + w[i:]


def be(a):
    """is or are, as the noun wants."""
    return "are" if a in PLURAL else "is"


def article(w):
    """w with a or an."""
    return ("an " if w[:1].lower() in "aeiou" else "a ") + w


@dataclass(slots=True)
class Candidate:
    """A question that a world can answer.

    type        question type, as in the evaluation set
    ask         () -> (question, hint that the answer repeats, or None)
    answer      (hint) -> full sentence
    value       the bare value; None if the documents do not state it
    source      the sentence that states it, for quotations; None if there is none
    key         key of a JSON answer
    value_type  kind of value, for instructions that fit it
    entity      what the question is about
    attribute   which attribute of it
    """

    type: str
    ask: object
    answer: object
    value: str
    source: str = None
    key: str = "answer"
    value_type: str = ""
    entity: str = None
    attribute: str = None


class World2:
    """Records, events, notes, amounts and definitions with the questions about them."""

    def __init__(self, rng, held=False):
        self.rng, self.held, self.s = rng, held, Strings(rng, held)
        self.docs, self.qs, self.missing, self.names, self.bare_attributes, self.event_facts = (
            [],
            [],
            [],
            set(),
            set(),
            set(),
        )
        self.value_counts = {}
        self.entities = []  # (name, thing, {noun: (value, type)}, all nouns of its record set)
        self.near = rng.random() < 0.5  # names that share parts

    # -- phrasing
    def pose(self, phrase):
        """A question about a noun phrase."""
        rng = self.rng
        if self.held:
            return cap(rng.choice(Q3).format(phrase=phrase))
        k = rng.random()
        if k < 0.10:
            return first_round.generic(rng, phrase)
        if k < 0.18:
            q = phrase + rng.choice(("", "", "?", "?", ".", "??", " pls", ", please"))
        elif k < 0.30:
            q = (
                rng.choice(("What is ", "What is ", "what is ", "What's ", "What are ", "Which is "))
                + phrase
                + rng.choice(("?", "?", "?", ""))
            )
        else:
            q = rng.choice(LEAD) + " " + phrase + rng.choice(TAIL)
        return q

    def style(self, q, names=()):
        """casing, typos, openers; names are kept from typos"""
        rng = self.rng
        if self.held:
            return q
        k = rng.random()
        if k < 0.40:
            return cap(q)
        if k < 0.50:
            return q
        if k < 0.60:
            return q.lower().rstrip("?.") if rng.random() < 0.6 else q.lower()
        if k < 0.68:
            return q[:1].lower() + q[1:].rstrip("?.")
        if k < 0.76:
            w = q.split(" ")
            c = [i for i, x in enumerate(w) if len(x) > 3 and x.isalpha() and not any(x in n for n in names)]
            if c:
                i = rng.choice(c)
                w[i] = typo(rng, w[i])
            return " ".join(w)
        if k < 0.78:
            return q.upper()
        return first_round.noise(rng, cap(q))

    def phrase(self, a, e):
        """The attribute a of the entity e as a noun phrase."""
        rng = self.rng
        if self.held:
            return f"the {a} of {e}" if e else f"the {a}"
        if not e:
            return rng.choice(BNP).format(a=a)
        x = rng.choice(NP).format(a=a, e=e)
        return x

    def name(self, thing=None):
        """A fresh name for a thing."""
        rng, s = self.rng, self.s
        for t in range(40):
            if thing in (
                "person",
                "employee",
                "patient",
                "player",
                "customer",
                "member",
                "student",
                "speaker",
                "tenant",
                "guest",
                "volunteer",
                "user",
            ):
                n = s.person()
            elif thing in (
                "city",
                "branch",
                "country",
                "station",
                "office",
                "warehouse",
                "river",
                "mountain",
                "planet",
            ):
                n = s.place()
            elif thing in ("company", "supplier", "shop", "restaurant", "school"):
                n = s.org() if rng.random() < 0.7 else s.Cap()
            elif thing in (
                "device",
                "machine",
                "product",
                "camera",
                "phone",
                "laptop",
                "tool",
                "drug",
                "vehicle",
                "sensor",
                "module",
                "release",
            ):
                n = s.product()
            elif thing in (
                "order",
                "ticket",
                "invoice",
                "account",
                "sample",
                "job",
                "task",
                "package",
                "flight",
                "flat",
            ):
                n = rng.choice((thing + " ", "", cap(thing) + " ")) + s.code()
            else:
                k = rng.random()
                n = (
                    s.product()
                    if k < 0.2
                    else s.place()
                    if k < 0.35
                    else s.Cap()
                    if k < 0.55
                    else f"{s.Cap()} {s.Cap()}"
                    if k < 0.7
                    else f"the {s.Cap()} {thing}"
                    if k < 0.85
                    else f"{s.Cap()} {cap(thing or 'thing')}"
                )
            if self.held and t > 8:
                n += f" {rng.choice(PROD3)}"
            elif t > 8 or (t == 0 and rng.random() < 0.04):
                n += f" {rng.randrange(2, 999)}"
            if (
                self.near and self.entities and rng.random() < 0.3 and t < 5 and not self.held
            ):  # share a part with another name
                o = rng.choice(self.entities)[0].split(" ")
                w = n.split(" ")
                if len(o) > 1 and len(w) > 1:
                    n = " ".join(o[:-1] + w[-1:]) if rng.random() < 0.5 else " ".join(w[:-1] + o[-1:])
            l = n.lower()
            if l not in self.names and not any(l in x or x in l for x in self.names if len(x) < 5 or len(l) < 5):
                self.names.add(l)
                return n
        n = "item " + s.code()
        self.names.add(n.lower())
        return n

    def attr(self):
        """-> (nouns, value type, questions, facts)"""
        rng = self.rng
        if self.held and rng.random() < 0.5:
            n, t, q, f = rng.choice(ATTRS3)
            return n, rng.choice(t), q, f
        if self.held or rng.random() < 0.55:
            n, t, q, f = rng.choice(ATTRS)
            return n, rng.choice(t), q, f
        if rng.random() < 0.35:
            t, a, _ = rng.choice(first_round.OPEN_ATTRIBUTES)
            return (
                [rng.choice(a.split(","))],
                {
                    "money": "money",
                    "time": "dur",
                    "num": "num",
                    "code": "code",
                    "person": "person",
                    "place": "place",
                    "date": "date",
                    "word": "word",
                }[t],
                [],
                [],
            )
        w = rng.choice(first_round.WORDS)
        if rng.random() < 0.15:  # how many ...?
            n = rng.choice(
                (
                    "members,rooms,seats,beds,floors,windows,doors,pages,players,employees,students,branches,children,wheels,cores,eggs,copies,parts,lessons,stops,tables,chapters,legs,votes,goals".split(
                        ","
                    )
                )
            )
            n = n if rng.random() < 0.5 else rng.choice(first_round.ITEM).split()[-1] if rng.random() < 0.5 else w + "s"
            return (
                [f"number of {n}"],
                "num",
                [
                    f"How many {n} does {{e}} have?",
                    f"How many {n} are there in {{e}}?",
                    f"How many {n} does {{e}} have?",
                    f"{{e}} has how many {n}?",
                ],
                [
                    f"{{E}} has {{v}} {n}.",
                    f"{{E}} comes with {{v}} {n}.",
                    f"{{E}} counts {{v}} {n}.",
                    f"There are {{v}} {n} in {{e}}.",
                ],
            )
        k = rng.random()
        if k < 0.3:
            a = w
        elif k < 0.6:
            a = f"{w} {rng.choice(first_round.WORDS)}"
        elif k < 0.75:
            a = f"{w} {rng.choice(('number', 'name', 'code', 'date', 'time', 'level', 'type', 'count', 'rate', 'size', 'limit', 'address', 'id', 'key', 'place', 'person'))}"
        elif k < 0.9:
            a = f"{self.s.low()} {w}"
        else:
            a = self.s.low()
        return [a], rng.choice(TYPE3), [], []

    def _note(self, v):
        """Remember that v is a value, so that reverse questions stay unambiguous."""
        self.value_counts[v] = self.value_counts.get(v, 0) + 1

    def add_q(self, e, thing, A, doc_a, v, t, source):
        """single fact and its relatives"""
        rng = self.rng
        nouns, _, wh, _ = A
        self._note(v)

        def ask():
            k = rng.random()
            if wh and k < (0.5 if self.held else 0.4) and e:
                return self.style(rng.choice(wh).format(e=e), (e,)), None
            a = doc_a if rng.random() < 0.5 else rng.choice(nouns)
            return self.style(self.pose(self.phrase(a, e)), (e or "",)), a

        self.qs.append(
            Candidate(
                "single" if not any(nouns is x[0] for x in ATTRS3) else "newattr",
                ask,
                lambda a: f"The {a or doc_a}{' of ' + e if e else ''} {be(a or doc_a)} {v}.",
                v,
                source,
                doc_a,
                t,
                e,
                doc_a,
            )
        )

    def facts_of(self, e, recs, sentence=True):
        """sentences for the attributes of one entity"""
        rng = self.rng
        out = []
        pro = rng.random() < 0.35
        ref = rng.choice(("It", "She", "He", "They", f"The {self.thing}", f"This {self.thing}")) if pro else ""
        for i, (A, a, v, t) in enumerate(recs):
            f = rng.choice(A[3]) if A[3] and rng.random() < 0.55 else rng.choice(GF)
            if pro and i and f.startswith("{E}"):
                p = {"It": "Its", "She": "Her", "He": "His", "They": "Their"}.get(ref, ref + "'s")
                out.append(
                    (p + f[5:] if f.startswith("{E}'s") else ref + f[3:]).format(e=e, a=a, a1=cap(a), v=v, V=cap(v))
                )
                continue
            out.append(f.format(e=e, E=cap(e), a=a, a1=cap(a), v=v, V=cap(v)))
        return out

    def records(self, n=None):
        """a set of entities with attributes in one of many text forms"""
        rng, s = self.rng, self.s
        thing = self.thing = rng.choice(TH)
        na = rng.choice((1, 2, 2, 3, 3, 4, 5, 6))
        n = n or rng.choice((1, 1, 2, 2, 3, 4, 5, 6))
        schema, seen = [], set()
        for _ in range(na):
            A = self.attr()
            if A[0][0] in seen or any(x in seen for x in A[0]):
                continue
            seen.update(A[0])
            schema.append((A, A[0][0] if rng.random() < 0.7 else rng.choice(A[0])))
        entities = []
        for _ in range(n):
            e = self.name(thing)
            recs = [(A, a, s.val(A[1]), A[1]) for A, a in schema if rng.random() < 0.9 or len(schema) < 2]
            if not recs:
                recs = [(schema[0][0], schema[0][1], s.val(schema[0][0][1]), schema[0][0][1])]
            # a link to an earlier entity makes a two-step question
            c = [i for i, x in enumerate(recs) if x[3] in ("person", "org", "product", "place", "Cap")]
            if self.entities and c and rng.random() < 0.65:
                i = rng.choice(c)
                recs[i] = (recs[i][0], recs[i][1], rng.choice(self.entities)[0], "link")
            entities.append((e, recs))
        doc, srcs = self.render(thing, schema, entities)
        self.docs.append(doc)
        absent = {a for _, a in schema}
        for e, recs in entities:
            d = {}
            for A, a, v, t in recs:
                source = srcs.get((e, a))
                self.add_q(e, thing, A, a, v, t, source)
                d[a] = (v, t)
            self.entities.append((e, thing, d, absent))
            self.relatives(e, thing, recs, srcs)
            for A, a in schema:
                if a not in d:
                    self.miss(A, a, e)

    def miss(self, A, a, e):
        """Add a question that the documents do not answer."""
        rng = self.rng

        def ask():
            if A[2] and rng.random() < 0.35 and e:
                return self.style(rng.choice(A[2]).format(e=e), (e,)), None
            return self.style(
                self.pose(self.phrase(rng.choice(A[0]) if rng.random() < 0.4 else a, e)), (e or "",)
            ), None

        self.missing.append(Candidate("not_stated", ask, lambda a: NOT_STATED, None, None, a, "", e, a))

    def relatives(self, e, thing, recs, srcs):
        """Add reverse and two-step questions about an entity."""
        rng = self.rng
        for A, a, v, t in recs:  # reverse
            if t not in ("hours", "link", "word", "phrase") and len(v) > 2:

                def ask(a=a, v=v, t=t):
                    return self.style(rng.choice(REV3 if self.held else REV).format(t=thing, a=a, v=v), (v, e)), None

                self.qs.append(
                    Candidate(
                        "reverse",
                        ask,
                        lambda x, a=a, v=v: f"{cap(e)} has the {a} {v}.",
                        e,
                        srcs.get((e, a)),
                        thing,
                        "person",
                        v,
                        a,
                    )
                )
        if len(recs) > 1:
            self.pair(e, thing, *rng.sample(recs, 2))
        for A, a, v, t in recs:  # two steps over a link
            if t == "link":
                o = next((x for x in self.entities if x[0] == v), None)
                if not o:
                    continue
                for b, (w, wt) in o[2].items():

                    def ask(a=a, b=b):
                        x = rng.choice(
                            (
                                "the {b} of the {a} of {e}",
                                "the {b} of {e}'s {a}",
                                "the {b} for the {a} of {e}",
                                "the {b} of the one who is the {a} of {e}",
                                "{e}'s {a}'s {b}",
                                "the {a} of {e} and its {b}",
                                "the {a} of {e}, and what its {b} is",
                            )
                        ).format(a=a, b=b, e=e)
                        return self.style(self.pose(x), (e,)), None

                    self.qs.append(
                        Candidate(
                            "two_hop",
                            ask,
                            lambda x, a=a, b=b, v=v, w=w: f"The {a} of {e} is {v}, whose {b} is {w}.",
                            w,
                            None,
                            b,
                            wt,
                            e,
                            b,
                        )
                    )
        if rng.random() < 0.5:
            self.yes_no(e, srcs, *rng.choice(recs)[1:])

    def pair(self, e, thing, x, y):
        """Add questions that need two attributes."""
        rng = self.rng
        (_, a, v, _), (_, b, w, _) = x, y

        def two():
            x = rng.choice(
                (
                    "the {a} and the {b} of {e}",
                    "both the {a} and the {b} of {e}",
                    "{e}'s {a} and {b}",
                    "the {a} and {b} of {e}",
                    "the {a} of {e} and also the {b}",
                    "{e}: {a} and {b}",
                    "{a} and {b} for {e}",
                    "the {a} as well as the {b} for {e}",
                )
            ).format(a=a, b=b, e=e)
            return self.style(self.pose(x), (e,)), None

        self.qs.append(
            Candidate(
                "two_values",
                two,
                lambda x: f"The {a} of {e} {be(a)} {v} and the {b} {be(b)} {w}.",
                None,
                None,
                "answer",
                "",
                e,
                None,
            )
        )
        if len(v) > 2:

            def via():
                x = rng.choice(
                    (
                        "the {b} of the {t} with the {a} {v}",
                        "the {b} of the {t} whose {a} is {v}",
                        "the {b} for {a} {v}",
                        "the {b} that goes with {a} {v}",
                        "the {b} belonging to the {t} that has {v} as {a}",
                        "the {b} where the {a} is {v}",
                    )
                ).format(a=a, b=b, t=thing, v=v)
                return self.style(self.pose(x), (v,)), None

            self.qs.append(Candidate("via", via, lambda x: f"The {b} of {e} is {w}.", w, None, b, "", v, b))

    def yes_no(self, e, srcs, a, v, t):
        """Add a yes-no question."""
        rng = self.rng
        if t in ("link", "many"):
            return
        no = rng.random() < 0.5
        u = self.s.val(t) if no else v
        if no and u == v:
            return

        def ask():
            x = rng.choice(
                (
                    "Is the {a} of {e} {u}?",
                    "Is it true that the {a} of {e} is {u}?",
                    "Is {u} the {a} of {e}?",
                    "{e}: is the {a} {u}?",
                    "Does {e} have the {a} {u}?",
                    "Am I right that {e}'s {a} is {u}?",
                    "the {a} of {e} is {u}, right?",
                    "Can you confirm that the {a} of {e} is {u}?",
                )
            ).format(a=a, e=e, u=u)
            return self.style(x, (e, u)), None

        self.qs.append(
            Candidate(
                "yes_no",
                ask,
                lambda x: f"{'No' if no else 'Yes'}, the {a} of {e} is {v}.",
                "No" if no else "Yes",
                srcs.get((e, a)),
                "answer",
                "",
                e,
                a,
            )
        )

    # -- text forms
    def render(self, thing, schema, entities):
        """The records in one of some 30 text forms, with the sentence or line that states each value."""
        rng, s = self.rng, self.s
        cols = [a for _, a in schema]
        srcs = {}
        k = rng.random()
        size = rng.choice(
            (
                f"{cap(thing)} list",
                f"{cap(thing)}s",
                s.Cap(),
                f"Notes on {thing}s",
                f"{cap(thing)} overview",
                "Overview",
                "Data",
                "Info",
                f"About our {thing}s",
                f"{s.phrase()}".capitalize(),
                "",
                "",
                "",
            )
        )
        H = size + "\n" if size else ""
        if k < 0.40 or self.held and k < 0.6:  # sentences in various dress
            lines = []
            for e, recs in entities:
                fs = self.facts_of(e, recs)
                for (A, a, v, t), f in zip(recs, fs):
                    srcs[e, a] = f
                if rng.random() < 0.25:
                    fs.insert(rng.randrange(len(fs) + 1), self.filler())
                lines.append(fs)
            d = rng.randrange(9)
            if d < 3 or self.held:
                return H + rng.choice(("\n", "\n\n", " ")).join(" ".join(f) for f in lines), srcs
            if d == 3:
                return self.mail(thing, "\n".join(" ".join(f) for f in lines)), srcs
            if d == 4:
                who = [s.first() for _ in range(rng.choice((2, 3)))]
                h, out = rng.randrange(7, 20), []
                for i, f in enumerate(x for l in lines for x in l):
                    if rng.random() < 0.3:
                        out.append(
                            f"[{h}:{i % 60:02d}] {rng.choice(who)}: {rng.choice(('ok', 'thanks!', 'got it', self.filler(), 'who knows?', 'sure', 'hm, let me check', 'lol'))}"
                        )
                    out.append(
                        f"[{h}:{i % 60:02d}] {rng.choice(who)}: {f}" if d % 2 == 0 else f"{rng.choice(who)}: {f}"
                    )
                return H + "\n".join(out), srcs
            if d == 5:
                return H + "\n".join(f"{rng.choice(('-', '*', '•'))} {x}" for l in lines for x in l), srcs
            if d == 6:
                c = rng.choice(("# ", "// ", "-- ", " * ", "; "))
                return (
                    "\n".join(c + x for l in lines for x in l)
                    + f"\n{rng.choice(('def', 'function', 'void', 'fn'))} {s.low()}_{s.low()}() {{ return {rng.randrange(100)}; }}",
                    srcs,
                )
            if d == 7:
                return H + "\n".join(f"{i + 1}. {x}" for i, x in enumerate(x for l in lines for x in l)), srcs
            return f"Dear {s.first()},\n\n" + "\n".join(
                " ".join(f) for f in lines
            ) + f"\n\n{rng.choice(('Best wishes', 'Yours', 'Kind regards', 'Love', 'Cheers'))},\n{s.first()}", srcs

        def put(e, a, line):
            srcs[e, a] = line

        f = rng.randrange(21)
        key = (lambda a: a) if rng.random() < 0.5 else (lambda a: a.replace(" ", "_")) if rng.random() < 0.6 else cap
        D = [(e, {a: v for _, a, v, _ in recs}) for e, recs in entities]
        if f == 0:  # Markdown table
            rows = [f"| {e} | " + " | ".join(d.get(c, "-") for c in cols) + " |" for e, d in D]
            return (
                f"{'## ' if rng.random() < 0.5 else ''}{H}| {rng.choice(('Name', thing, cap(thing)))} | "
                + " | ".join(map(key, cols))
                + " |\n|"
                + "---|" * (len(cols) + 1)
                + "\n"
                + "\n".join(rows),
                srcs,
            )
        if f == 1:  # CSV
            sep = rng.choice((",", ";", ", ", "\t", " | "))
            return H + sep.join(["name"] + [key(c) for c in cols]) + "\n" + "\n".join(
                sep.join([e] + [d.get(c, "") for c in cols]) for e, d in D
            ), srcs
        if f == 2:  # YAML list
            return H + "\n".join(
                f"- name: {e}" + "".join(f"\n  {key(a)}: {v}" for a, v in d.items()) for e, d in D
            ), srcs
        if f == 3:  # YAML map
            return f"{thing.replace(' ', '_')}s:\n" + "\n".join(
                f"  {e}:" + "".join(f"\n    {key(a)}: {v}" for a, v in d.items()) for e, d in D
            ), srcs
        if f == 4:
            return H + json.dumps(
                [{"name": e, **{key(a): v for a, v in d.items()}} for e, d in D],
                indent=rng.choice((None, 1, 2)),
                ensure_ascii=False,
            ), srcs
        if f == 5:
            return H + json.dumps(
                {e: {key(a): v for a, v in d.items()} for e, d in D}, indent=rng.choice((None, 2)), ensure_ascii=False
            ), srcs
        if f == 6:
            return H + "\n".join(
                f"{cap(e)}" + "".join(f"\n{rng.choice(('- ', '* ', '  ', '• '))}{cap(a)}: {v}" for a, v in d.items())
                for e, d in D
            ), srcs
        if f == 7:
            return H + "\n".join(
                f"[{e}]" + "".join(f"\n{a.replace(' ', '_')} = {v}" for a, v in d.items()) for e, d in D
            ), srcs
        if f == 8:
            return f"<{thing.replace(' ', '-')}s>\n" + "\n".join(
                f'  <{thing.replace(" ", "-")} name="{e}">'
                + "".join(f"<{a.replace(' ', '-')}>{v}</{a.replace(' ', '-')}>" for a, v in d.items())
                + f"</{thing.replace(' ', '-')}>"
                for e, d in D
            ) + f"\n</{thing.replace(' ', '-')}s>", srcs
        if f == 9:
            t = []
            for e, d in D:
                for a, v in d.items():
                    put(e, a, f"{e}: {a} = {v}")
                    t.append(srcs[e, a])
            return H + "\n".join(t), srcs
        if f == 10:  # README
            return f"# {s.Cap()}\n\n{self.filler()}\n\n" + "\n\n".join(
                f"## {cap(e)}\n\n"
                + "\n".join(
                    rng.choice(("- **{a}**: {v}", "- {a}: `{v}`", "* {a}: {v}")).format(a=cap(a), v=v)
                    for a, v in d.items()
                )
                for e, d in D
            ), srcs
        if f == 11:  # frequently asked questions
            t = []
            for e, d in D:
                for a, v in d.items():
                    t.append(
                        f"Q: {rng.choice(('What is the {a} of {e}?', '{a} of {e}?', 'Which {a} does {e} have?', 'Can you tell me the {a} for {e}?')).format(a=a, e=e)}\nA: {rng.choice(('It is {v}.', '{v}', '{v}.', 'That is {v}.', 'The {a} is {v}.')).format(v=v, a=a)}"
                    )
            return rng.choice(("FAQ\n", "Questions and answers\n", "")) + "\n".join(t), srcs
        if f == 12:
            return H + "\n\n".join(
                f"{rng.choice(('Name', cap(thing)))}: {e}" + "".join(f"\n{cap(a)}: {v}" for a, v in d.items())
                for e, d in D
            ), srcs
        if f == 13:
            return H + "\n".join(
                f"{cap(a)} {'.' * rng.randrange(3, 20)} {v}" if i else f"== {e} ==\n{cap(a)} {'.' * 8} {v}"
                for e, d in D
                for i, (a, v) in enumerate(d.items())
            ), srcs
        if f == 14:
            return "\n".join(f"{e}.{a.replace(' ', '.')}={v}" for e, d in D for a, v in d.items()), srcs
        if f == 15:  # dialogue
            t = []
            for e, d in D:
                for a, v in d.items():
                    x, y = s.first(), s.first()
                    t.append(
                        f"{x}: {rng.choice(('What is the {a} of {e}?', 'Do you know the {a} of {e}?', 'And the {a} for {e}?', 'What about {e}, the {a} I mean?')).format(a=a, e=e)}\n{y}: {rng.choice(('It is {v}.', '{v}.', '{v}, as far as I know.', 'I wrote down {v}.', 'That would be {v}.', 'Sure, {v}.')).format(v=v)}"
                    )
            return H + "\n".join(t), srcs
        if f == 16:
            return H + "\n".join(f"{e} ({', '.join(f'{a} {v}' for a, v in d.items())})" for e, d in D), srcs
        if f == 17:
            return H + "\n".join(
                f"{e} - " + rng.choice(("; ", ", ", " / ", " | ")).join(f"{a}: {v}" for a, v in d.items()) for e, d in D
            ), srcs
        if f == 18:
            return H + "\n".join(
                f"{rng.randrange(2000, 2030)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d} {rng.randrange(24):02d}:{rng.randrange(60):02d} {rng.choice(('INFO', 'DEBUG', 'WARN', 'LOG'))} {e} {a}={v}"
                for e, d in D
                for a, v in d.items()
            ), srcs
        if f == 19:  # code
            return "\n".join(
                rng.choice(
                    (
                        'map.put("{e} {a}", "{v}");',
                        '{p} = "{v}"  # {a} of {e}',
                        'config["{e}"]["{a}"] = "{v}"',
                        'set {e} {a} "{v}";',
                        "INSERT INTO t VALUES ('{e}', '{a}', '{v}');",
                    )
                ).format(e=e, a=a, v=v, p=a.upper().replace(" ", "_"))
                for e, d in D
                for a, v in d.items()
            ), srcs
        return H + "<table>\n" + "<tr><th>name</th>" + "".join(f"<th>{c}</th>" for c in cols) + "</tr>\n" + "\n".join(
            f"<tr><td>{e}</td>" + "".join(f"<td>{d.get(c, '')}</td>" for c in cols) + "</tr>" for e, d in D
        ) + "\n</table>", srcs

    def mail(self, thing, body):
        """The body as an e-mail."""
        rng, s = self.rng, self.s
        a, b, subj, day = (
            s.person(),
            s.person(),
            rng.choice((f"{thing} {s.phrase()}", s.phrase(), f"Re: {s.phrase()}", f"about {s.Cap()}")),
            s.date(),
        )
        l = subj.lower()
        if not any(l in x or x in l for x in self.bare_attributes):
            self.bare_attributes.add(l)
            for kind, v, wh in (
                (
                    "sender",
                    a,
                    ("Who sent the email about {e}?", "Who wrote the mail {e}?", "who is the email {e} from"),
                ),
                ("recipient", b, ("Who received the email about {e}?", "Who was the mail {e} sent to?")),
            ):

                def ask(wh=wh):
                    return self.style(
                        rng.choice(wh).format(e=f'"{subj}"' if rng.random() < 0.6 else subj), (subj,)
                    ), None

                self.qs.append(
                    Candidate(
                        "single",
                        ask,
                        lambda x, kind=kind, v=v: f'The {kind} of "{subj}" is {v}.',
                        v,
                        None,
                        kind,
                        "person",
                        subj,
                        kind,
                    )
                )
        return f"From: {a}\nTo: {b}\nDate: {day}\nSubject: {subj}\n\n{rng.choice(('Hi', 'Hello', 'Dear'))} {b.split()[0]},\n\n{body}\n\n{rng.choice(('Best', 'Regards', 'Thanks', 'Cheers'))},\n{a.split()[0]}"

    def notes(self):
        """facts without an entity: small documents on one topic"""
        rng, s = self.rng, self.s
        items = []
        for _ in range(rng.choice((1, 2, 3, 3, 4, 5, 7))):
            A = self.attr()
            a = A[0][0] if rng.random() < 0.7 else rng.choice(A[0])
            if any(x.lower() in self.bare_attributes for x in A[0]) or any(
                x in y or y in x for x in A[0] for y in self.bare_attributes
            ):
                continue
            self.bare_attributes.update(x.lower() for x in A[0])
            items.append((A, a, s.val(A[1]), A[1]))
        if not items:
            return self.events()
        k = rng.random()
        lines = []
        st = rng.choice(BF)
        for A, a, v, t in items:
            f = st if k < 0.5 else rng.choice(BF)
            lines.append(f.format(a=a, a1=cap(a), v=v, V=cap(v)))
            self.add_q(None, "thing", A, a, v, t, lines[-1])
            if rng.random() < 0.3 and k > 0.5:
                lines.append(self.filler())
        A = self.attr()
        if not any(
            x.lower() in self.bare_attributes or any(x in y or y in x for y in self.bare_attributes) for x in A[0]
        ):
            self.miss(A, A[0][0], None)
        size = rng.choice(
            (
                "",
                "",
                "Notes\n",
                "Welcome!\n",
                "TODO\n",
                "Info sheet\n",
                "Readme\n",
                cap(s.phrase()) + "\n",
                "# " + s.Cap() + "\n",
                "Memo\n",
                "Checklist\n",
                "Settings\n",
            )
        )
        self.docs.append(size + ("\n" if k < 0.6 or st[0] in "-*{" else " ").join(lines))

    def events(self):
        """sentences of who did what, where, when, why"""
        rng, s = self.rng, self.s
        out = []
        for _ in range(rng.choice((1, 2, 2, 3, 4))):
            self.event(out)
        if out:
            self.docs.append(
                rng.choice(("", "", "News\n", "Diary\n", "Report\n", "What happened\n", cap(s.phrase()) + "\n"))
                + rng.choice((" ", " ", "\n")).join(out)
            )

    def event(self, out, about=None, ref=None):
        """One event: its sentence goes to out, its questions to the world."""
        rng, s = self.rng, self.s
        g = rng.choice(VERBS3 if self.held else VERBS2)
        b, p = (x.replace("_", " ") for x in rng.choice(g))
        sub = self.name(rng.choice(("person", "person", "person", "company", "team")))
        o = about or (s.obj() if rng.random() < 0.75 else self.name(rng.choice(("product", "book", "building"))))
        if about:
            if (o, g[0]) in self.event_facts:
                return
            self.event_facts.add((o, g[0]))
        elif o in self.event_facts or sub in self.event_facts:
            return
        self.event_facts |= {o, sub}
        slots = []
        if rng.random() < 0.55:
            slots.append(("where", rng.choice((f"in {s.place()}", f"at {s.org()}", s.spot()))))
        if rng.random() < 0.55:
            slots.append(
                (
                    "when",
                    rng.choice(
                        (
                            f"on {s.date()}" if rng.random() < 0.7 else f"at {s.clock()}",
                            f"in {rng.choice(MONTHS)}",
                            f"last {rng.choice(DAYW)}",
                            f"in {rng.randrange(1900, 2030)}",
                        )
                    ),
                )
            )
        if rng.random() < 0.25:
            slots.append(("why", f"because of {rng.choice(('the ', 'a ', ''))}{s.phrase()}"))
        if rng.random() < 0.25:
            slots.append(("with whom", f"with {s.person()}"))
        if rng.random() < 0.2:
            slots.append(("how much", f"for {s.money()}"))
        rng.shuffle(slots)
        rest = "".join(" " + x for _, x in slots)
        part = PART.get(p, p)
        k = rng.random()
        if ref:
            if rng.random() < 0.5:
                source = f"{ref} was {part} by {rng.choice(('', '', 'the ' + s.phrase() + ' '))}{sub}{rest}."
            else:
                source = f"{ref} was {part}{rest} by {sub}."
        elif k < 0.55:
            source = f"{cap(sub)} {p} {o}{rest}."
        elif k < 0.67:
            source = f"{cap(o)} was {part} by {sub}{rest}."
        elif k < 0.78:
            source = f"{cap(o)} was {part}{rest} by {sub}."
        elif slots:
            i = rng.randrange(len(slots))
            rest = "".join(" " + x for j, (_, x) in enumerate(slots) if j != i)
            source = f"{cap(slots[i][1])}, {sub} {p} {o}{rest}."
        else:
            source = f"It was {sub} who {p} {o}."
        out.append(source)
        if rng.random() < 0.3:
            out.append(self.filler())
        done = f"{sub} {p} {o}"

        def verb():
            return tuple(x.replace("_", " ") for x in rng.choice(g)) if rng.random() < 0.6 else (b, p)

        def wrap(q):
            k = rng.random()
            if self.held:
                return q if k < 0.6 else "Somebody asked: " + q[:1].lower() + q[1:]
            if k < 0.12:
                q = rng.choice(LEAD[:24]) + " " + q[:1].lower() + q[1:].rstrip("?")
            return self.style(q, (sub, o))

        def who():
            vb, vp = verb()
            return wrap(
                rng.choice(
                    (
                        f"Who {vp} {o}?",
                        f"Who {vp} {o}?",
                        f"By whom was {o} {PART.get(vp, vp)}?",
                        f"Who was it that {vp} {o}?",
                        f"{o} was {PART.get(vp, vp)} by whom?",
                        f"Who {vp} {o}",
                    )
                )
            ), None

        def what():
            vb, vp = verb()
            return wrap(
                rng.choice(
                    (
                        f"What did {sub} {vb}?",
                        f"What did {sub} {vb}?",
                        f"What was {PART.get(vp, vp)} by {sub}?",
                        f"Which thing did {sub} {vb}?",
                        f"What is it that {sub} {vp}?",
                    )
                )
            ), None

        self.qs.append(
            Candidate("event", who, lambda x, done=done: cap(done) + ".", sub, source, "answer", "person", o)
        )
        self.qs.append(Candidate("event", what, lambda x, done=done: cap(done) + ".", o, source, "answer", "", sub))
        given = {x for x, _ in slots}
        for w, x in slots:

            def ask(w=w):
                vb, vp = verb()
                i = {
                    "how much": "for how much",
                    "where": "where",
                    "when": "when",
                    "why": "why",
                    "with whom": "with whom",
                }[w]
                if w == "when":
                    i = rng.choice(("when", "when", "on what day", "at what time")) if rng.random() < 0.3 else "when"
                return wrap(cap(rng.choice((f"{i} did {sub} {vb} {o}?", f"{i} was {o} {PART.get(vp, vp)}?")))), None

            val = (
                re.sub(r"^(in|at|on|with|for|because of) ", "", x)
                if w != "where" or x.split(" ")[0] in ("in", "at") and " the " not in x
                else x
            )
            self.qs.append(
                Candidate(
                    "event",
                    ask,
                    lambda y, done=done, x=x: f"{cap(done)} {x}.",
                    val,
                    source,
                    "answer",
                    {"with whom": "person", "where": "place", "when": "date"}.get(w, ""),
                    sub,
                )
            )
        w = rng.choice(("where", "when", "why", "with whom", "how much"))
        if w not in given:

            def ask(w=w):
                vb, vp = verb()
                return wrap(cap(f"{'for how much' if w == 'how much' else w} did {sub} {vb} {o}?")), None

            self.missing.append(Candidate("not_stated", ask, lambda x: NOT_STATED, None, None, "answer", "", sub))

    def profile(self):
        """a paragraph about one thing: attributes and events, often with pronouns"""
        rng, s = self.rng, self.s
        self.thing = thing = rng.choice(TH)
        e = self.name(thing)
        ref = rng.choice(("It", "It", "It", f"The {thing}", cap(e)))
        recs, seen, out = [], set(), []
        for _ in range(rng.choice((1, 2, 3, 4))):
            A = self.attr()
            if any(x in seen for x in A[0]):
                continue
            seen.update(A[0])
            recs.append((A, A[0][0], s.val(A[1]), A[1]))
        fs = self.facts_of(e, recs)
        srcs = {}
        for (A, a, v, t), f in zip(recs, fs):
            srcs[e, a] = f
            self.add_q(e, thing, A, a, v, t, f)
        self.entities.append((e, thing, {a: (v, t) for _, a, v, t in recs}, seen))
        self.relatives(e, thing, recs, srcs)
        for i, f in enumerate(fs):
            out.append(f)
            if rng.random() < 0.5:
                self.event(out, e, ref)
            if rng.random() < 0.2:
                out.append(self.filler())
        self.docs.append(rng.choice(("", "", cap(e) + "\n", "# " + e + "\n", "About\n")) + " ".join(out))

    def amounts(self):
        """so much of this and that"""
        rng, s = self.rng, self.s
        items = []
        for _ in range(rng.choice((2, 3, 4, 6))):
            n = (
                rng.choice(FOOD)
                if rng.random() < 0.3
                else rng.choice(first_round.WORDS)
                if rng.random() < 0.5
                else f"{rng.choice(first_round.WORDS)} {rng.choice(first_round.WORDS)}"
                if rng.random() < 0.5
                else rng.choice(first_round.ITEM)
            )
            if any(n in x or x in n for x in self.bare_attributes):
                continue
            self.bare_attributes.add(n)
            cnt = rng.random() < 0.3
            items.append((n, str(rng.randrange(1, 60)) if cnt else s.qty(), cnt))
        if not items:
            return
        k = rng.randrange(5)
        line = {0: "{v} {n}", 1: "{n}: {v}", 2: "- {v} of {n}", 3: "{n} ({v})", 4: "- {n} {v}"}[k]
        body = [line.format(n=n, v=v) for n, v, _ in items]
        self.docs.append(
            rng.choice(
                ("Ingredients: ", "You need: ", "Shopping list\n", "Materials\n", "Take ", cap(s.phrase()) + "\n", "")
            )
            + (", ".join(body) if k in (0, 3) and rng.random() < 0.7 else "\n".join(body))
            + rng.choice(("", ".", ""))
        )
        for (n, v, cnt), source in zip(items, body):
            a = f"{'number' if cnt else 'amount'} of {n}"

            def ask(n=n, cnt=cnt, a=a):
                if rng.random() < 0.3:
                    return self.style(self.pose("the " + a), (n,)), None
                return self.style(
                    rng.choice(
                        (
                            "How many {n} do I need?",
                            "How many {n}?",
                            "How many {n} are needed?",
                            "how many {n} are there",
                            "what number of {n}",
                        )
                        if cnt
                        else (
                            "How much {n} do I need?",
                            "How much {n}?",
                            "How much {n} is needed?",
                            "how much {n} goes in",
                            "what quantity of {n}",
                        )
                    ).format(n=n),
                    (n,),
                ), None

            self.qs.append(
                Candidate("single", ask, lambda x, a=a, v=v: f"The {a} is {v}.", v, source, a, "num", None, a)
            )

    def define(self):
        """Definitions."""
        rng, s = self.rng, self.s
        out = []
        for _ in range(rng.choice((1, 2, 3))):
            w = s.low() if rng.random() < 0.7 else s.Cap()
            if len(w) < 3 or w.lower() in self.names:
                continue
            self.names.add(w.lower())
            x = f"{rng.choice(('kind of', 'type of', 'small', 'large', 'sort of', 'old', 'special'))} {s.phrase()} {rng.choice(('used for', 'found in', 'made of', 'named after', 'that needs', 'with'))} {s.phrase()}"
            aw, ax = article(w), article(x)
            source = rng.choice(
                (f"{cap(aw)} is {ax}.", f"{cap(w)}: {ax}", f"The word {w} means {ax}.", f"By {w} we mean {ax}.")
            )
            out.append(source)

            def ask(w=w, aw=aw):
                return self.style(
                    rng.choice(
                        (
                            f"What is {aw}?",
                            f"What does {w} mean?",
                            f"Define {w}.",
                            f"What is meant by {w}?",
                            f"explain {w}",
                            f"meaning of {w}?",
                            f"What's {aw}?",
                            f"{w}?",
                            f"definition of {w}",
                        )
                    ),
                    (w,),
                ), None

            self.qs.append(
                Candidate("define", ask, lambda y, aw=aw, ax=ax: f"{cap(aw)} is {ax}.", ax, source, "meaning", "", w)
            )
        if out:
            self.docs.append(rng.choice(("Glossary\n", "Terms\n", "", "")) + "\n".join(out))

    def filler(self):
        """A sentence that states no fact."""
        rng = self.rng
        return rng.choice(first_round.FILL).format(
            team=rng.choice(first_round.TEAM),
            day=rng.choice(first_round.DAYS),
            adj=rng.choice(first_round.ADJ),
            noun=rng.choice(first_round.NOUN),
            month=rng.choice(MONTHS),
        )

    # -- the held-out genre: a zoo guide
    def zoo(self):
        """The held-out genre: a zoo guide."""
        rng, s = self.rng, self.s
        out = []
        for _ in range(rng.choice((2, 3))):
            sp = rng.choice("tapir okapi lemur pangolin wombat capybara meerkat flamingo ocelot porcupine".split())
            n = f"{rng.choice('Bongo Tikka Zuri Momo Pippa Rollo Kibo Fenn Lulu Ozzy'.split())} the {sp}"
            if n in self.names:
                continue
            self.names.add(n)
            fs = [
                ("keeper", s.person(), "{v} feeds {e} every morning.", "Who feeds {e}?", "{v} feeds {e}."),
                (
                    "enclosure",
                    f"the {rng.choice(AGENT)} {rng.choice(('paddock', 'aviary', 'pavilion', 'terrarium'))}",
                    "{E} sleeps in {v}.",
                    "Where does {e} sleep?",
                    "{E} sleeps in {v}.",
                ),
                ("diet", s.phrase(), "{E} eats nothing but {v}.", "What does {e} eat?", "{E} eats {v}."),
                (
                    "arrival",
                    f"{rng.randrange(1990, 2025)}",
                    "{E} came to us in {v}.",
                    "When did {e} come here?",
                    "{E} came in {v}.",
                ),
                (
                    "origin",
                    s.place(),
                    "{E} used to live at the zoo of {v}.",
                    "Where did {e} use to live?",
                    "{E} used to live in {v}.",
                ),
                (
                    "weight",
                    f"{rng.randrange(2, 300)} kg",
                    "On the scales {e} showed {v}.",
                    "How heavy is {e}?",
                    "The weight of {e} is {v}.",
                ),
                ("sponsor", s.org(), "{E} is sponsored by {v}.", "Who sponsors {e}?", "{E} is sponsored by {v}."),
            ]
            rng.shuffle(fs)
            for a, v, f, q, ans in fs[: rng.choice((3, 4))]:
                out.append(f.format(e=n, E=cap(n), v=v))
                self.qs.append(
                    Candidate(
                        "zoo",
                        lambda q=q, n=n: (q.format(e=n), None),
                        lambda x, ans=ans, n=n, v=v: ans.format(e=n, E=cap(n), v=v),
                        v,
                        out[-1],
                        a,
                        "",
                        n,
                    )
                )
        self.docs.append("Keeper's round, sheet %d\n" % rng.randrange(99) + " ".join(out))


SYS2 = first_round.SYSTEM + [
    "You are a careful reader.",
    "You answer from the text only.",
    "Answer the user's question.",
    "Use the text below.",
    "You help people with their files.",
    "Read the document and answer.",
    "If the text does not say it, say so.",
    "You are an assistant for document questions.",
]
CHAT2 = [
    (
        CHAT[0][0]
        + [
            "hello there",
            "hiya",
            "Hi assistant",
            "good day",
            "yo",
            "Hello Skim",
            "greetings",
            "hi!!",
            "hey, are you there?",
            "morning",
        ],
        CHAT[0][1],
    ),
    (
        CHAT[1][0]
        + [
            "what are you exactly?",
            "who am I talking to?",
            "are you a bot?",
            "Are you ChatGPT?",
            "what model is this",
            "Please introduce yourself",
            "your name?",
            "who made this, who are you?",
            "tell me who you are",
            "What kind of model are you?",
        ],
        CHAT[1][1],
    ),
    (
        CHAT[2][0]
        + [
            "what are your abilities?",
            "what can i ask you?",
            "how does this work?",
            "What do you do?",
            "what is this for",
            "how can I use this",
            "Can you help me?",
            "I need help",
            "what should I do first?",
        ],
        CHAT[2][1],
    ),
    (CHAT[3][0] + ["thx", "ty", "thanks!", "cool, thanks", "nice, thank you", "that helped, thanks"], CHAT[3][1]),
    (CHAT[4][0] + ["bye bye", "good night", "see you", "cu", "farewell"], CHAT[4][1]),
    CHAT[5],
    (
        CHAT[6][0]
        + [
            "What is 2+2?",
            "who is the queen of england",
            "Tell me a story.",
            "how do I cook rice?",
            "What is the meaning of life?",
            "sing a song",
            "write an email to my landlord",
            "what's the news",
            "recommend a book",
            "When did the war end?",
            "How far is the moon?",
            "What is Java?",
            "Explain photosynthesis.",
            "Who invented the telephone?",
        ],
        CHAT[6][1],
    ),
]


class Builder2(first_round.Builder):
    """rows: a share of first-round rows, the rest second-round conversations"""

    def __init__(self, tok, prose, seed, held=False, old=0.35):
        super().__init__(tok, prose, seed)
        self.tokenizer, self.old, self.held_out = tok, old, held
        if len(PIECES) < 10:
            load_pieces(tok)
        if not first_round.RARE:
            first_round.RARE += PIECES

    def chat(self):
        """Small talk without documents."""
        rng = self.rng
        m = [("system", rng.choice(SYS2), "")] if rng.random() < 0.4 else []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            qs, a = rng.choice(CHAT2)
            m += [("user", rng.choice(qs)), ("assistant", a)]
        return m

    def prose_chunk(self, w):
        """Natural prose, sometimes with a gap to fill."""
        rng = self.rng
        i = rng.randrange(len(self.prose))
        t = "\n".join(self.prose[i : i + rng.choice((1, 1, 2, 3))])[: rng.choice((300, 700, 1500, 3000))].rsplit(
            " ", 1
        )[0]
        if rng.random() < 0.4 and not self.held_out:  # a gap in a sentence of the text
            u = t.split("\n")[0].split(" ")
            if len(u) > 16:
                n = rng.choice((1, 1, 2, 3))
                j = rng.randrange(5, len(u) - n - 4)
                m = " ".join(u[j : j + n]).strip('.,;:!?"')
                p, q = " ".join(u[j - rng.choice((3, 4, 5)) : j]), " ".join(u[j + n : j + n + rng.choice((2, 3, 4))])
                if '"' not in p + q and m:
                    g = rng.choice(("____", "___", "...", "[?]"))
                    ask = lambda: (
                        rng.choice(
                            (
                                'Fill in the gap: "{p} {g} {q}"',
                                'Which words are missing in "{p} {g} {q}"?',
                                'What stands in the gap: "{p} {g} {q}"?',
                                "{p} {g} {q}",
                                'Complete: "{p} {g} {q}"',
                            )
                        ).format(p=p, q=q, g=g),
                        None,
                    )
                    w.qs.append(Candidate("gap", ask, lambda x: m, m, None, "answer", "gap", t))
        return t

    def world2(self, size, want=None):
        """A world with about size tokens of documents; want: a question type that must be there."""
        rng = self.rng
        w = World2(rng, self.held_out)
        mix = rng.choice((0.1, 0.25, 0.5, 0.75, 1.0)) if size >= 700 else rng.choice((0.6, 0.9, 1.0))
        if self.held_out:
            mix = rng.choice((0.3, 0.5, 0.7))
        need, got = size * mix, 0
        texts = []
        p = [rng.random() ** 2 for _ in range(4)]
        p = [x / sum(p) for x in p]
        a, b, c = p[0] * 0.9 + 0.1, p[1] * 0.5, p[2] * 0.7
        z = a + b + c + 0.07
        while got < need:
            x = rng.random() * z
            if want == "zoo" and rng.random() < 0.4:
                w.zoo()
            elif x < a * 0.75:
                w.records()
            elif x < a:
                w.profile()
            elif x < a + b and len(w.bare_attributes) < 60:
                w.notes()
            elif x < a + b + c:
                w.events()
            elif rng.random() < 0.45 and len(w.bare_attributes) < 60:
                w.amounts()
            else:
                w.define()
            for t in w.docs[len(texts) :]:
                texts.append(t)
                got += len(self.encode(t)) + 2
        fill = size - got
        while fill > 25:
            t = (
                self.prose_chunk(w)
                if rng.random() < 0.75
                else " ".join(w.filler() for _ in range(rng.choice((3, 5, 8))))
            )
            ids = self.encode(t)
            if len(ids) + 2 > fill:
                w.qs = [q for q in w.qs if not (q.type == "gap" and q.entity == t)]
                texts.append(self.tokenizer.decode(ids[: max(4, fill - 3)]).rstrip("\ufffd ").strip())
                break
            texts.append(t)
            fill -= len(ids) + 2
        rng.shuffle(texts)
        w.texts = texts
        # facts that are not there: absent entities with known attributes, known entities with absent attributes
        for _ in range(6):
            if not w.entities:
                break
            e, thing, d, cols = rng.choice(w.entities)
            if rng.random() < 0.5:
                A = w.attr()
                if not any(n in cols for n in A[0]) and A[0][0] not in w.bare_attributes:
                    w.miss(A, A[0][0], e)
            else:
                n = w.name(thing) if rng.random() < 0.6 or " " not in e else None
                if n is None:  # a near miss: one part of a known name changed
                    u = e.split(" ")
                    u[rng.randrange(len(u))] = w.s.last() if w.held else w.s.Cap()
                    n = " ".join(u)
                    if n.lower() in w.names:
                        continue
                    w.names.add(n.lower())
                a = rng.choice(list(d))
                w.miss(([a], "", [], []), a, n)
        return w

    # -- instructions
    def value_instruction(self, value_type):
        """An instruction to answer with the value only."""
        rng = self.rng
        if self.held_out:
            return rng.choice(I3V)
        k = {
            "num": "num",
            "qty": "num",
            "money": "num",
            "person": "person",
            "date": "date",
            "code": "code",
            "place": "place",
            "clock": "date",
        }.get(value_type, "")
        if rng.random() < 0.35:
            x = rng.choice(IS + (ISN * 3 if value_type == "num" else []) + (ISP * 4 if value_type == "person" else []))
            return rng.choice((x, x + ".", cap(x) + ".", cap(x), x + "!"))
        if rng.random() < 0.1:
            return rng.choice(first_round.ONLY)
        x = f"{rng.choice(IV)} {rng.choice(IO)}{rng.choice(IT[k] if k and rng.random() < 0.6 else IT[''])}{rng.choice(IN)}"
        return rng.choice((cap(x) + ".", cap(x) + ".", x, cap(x), "Please " + x + "."))

    def attach(self, q, i):
        """The question q with the instruction i."""
        rng = self.rng
        k = rng.random()
        if k < 0.3:
            return f"{q}\n{i}"
        if k < 0.6:
            return f"{q} {i}" if q[-1:] in "?.!" else f"{q}. {i}"
        if k < 0.72:
            return f"{q} ({i.rstrip('.')})"
        if k < 0.84:
            return f"{i.rstrip('.')}: {q}"
        if k < 0.92:
            return f"{i}\n{q}"
        return f"{q} - {i}"

    def ask2(self, x, mode, sysk=None):
        """-> question, answer. mode: s sentence, f sentence on demand, v / V value, j / J JSON, q quote; capitals: said by the system"""
        rng = self.rng
        q, a = x.ask()
        if mode in "q" and (x.source is None):
            mode = "s"
        if x.value is None and x.answer(None) != NOT_STATED and mode in "vVjJ":
            if mode == "V":
                mode = "s"
            elif mode == "J":
                return q, json.dumps({sysk: x.answer(a)}, ensure_ascii=False)
            else:
                mode = "s"
        if x.type == "gap":
            return q, (json.dumps({sysk: x.value}, ensure_ascii=False) if mode == "J" else x.value)
        ans, none = x.answer(a), x.answer(None) == NOT_STATED
        if mode == "s":
            return q, ans
        if mode == "f":
            return self.attach(q, rng.choice(IFULL)), ans
        if mode == "v":
            return self.attach(q, self.value_instruction(x.value_type)), NOT_STATED if none else x.value
        if mode == "V":
            return q, NOT_STATED if none else x.value
        if mode == "q":
            return self.attach(q, rng.choice(IQ)), x.source
        if mode == "J":
            return q, json.dumps({sysk: None if none else x.value}, ensure_ascii=False)
        if mode == "j":
            k = (
                rng.choice(K3)
                if self.held_out
                else rng.choice(KEYS)
                if rng.random() < 0.5
                else x.key
                if rng.random() < 0.6
                else rng.choice(first_round.WORDS)
            )
            k = k.replace(" ", "_") if rng.random() < 0.7 else k
            v = None if none else x.value
            t = rng.choice(I3J if self.held_out else IJ).format(k=k)
            if v and v.isdigit() and len(v) < 10 and v[0] != "0" and "(type: string)" in t:
                t, v = t.replace("(type: string)", "(type: integer)"), int(v)
            return (q + "\n" + t if rng.random() < 0.6 or "\n" in t else self.attach(q, t)), json.dumps(
                {k: v}, ensure_ascii=False
            )
        return q, ans

    def wrap2(self, docs, q, texts):
        """The user message that carries the documents."""
        rng = self.rng
        k = rng.randrange(20)
        if k < 4:
            return f"{q}\n\nAnswer using the following information:\n{docs}"
        if k == 4:
            return f"Context:\n{docs}\n\nQuestion: {q}"
        if k < 8:
            return f"{docs}\n\n{q}"
        if k == 8:
            return f"{q}\n\n{docs}"
        if k == 9:
            return f"{rng.choice(('Document', 'Text', 'Passage', 'My notes', 'File', 'Input', 'Here is the text', 'Attachment'))}:\n{docs}\n\n{rng.choice(('Question: ', 'Q: ', '', 'User question: '))}{q}"
        if k == 10:
            return f'"""\n{docs}\n"""\n{q}'
        if k == 11:
            return "\n\n".join(f"[{i + 1}] {t}" for i, t in enumerate(texts)) + f"\n\n{q}"
        if k == 12:
            return "\n\n".join(f"Document {i + 1}:\n{t}" for i, t in enumerate(texts)) + f"\n\n{q}"
        if k == 13:
            return f"<{(t := rng.choice(('document', 'context', 'text', 'doc', 'data')))}>\n{docs}\n</{t}>\n\n{q}"
        if k == 14:
            return f"{q}\n\n---\n{docs}\n---"
        if k == 15:
            return f"Question: {q}\n\nContext:\n{docs}"
        if k == 16:
            return f"{rng.choice(('Please read this.', 'Here are some documents.', 'Read the text and answer.', 'I have a question about this text.', 'See below.', 'This is my document:'))}\n\n{docs}\n\n{q}"
        if k == 17:
            return f"{q}\n\n{docs}\n\n{q}"
        if k == 18:
            return f"```\n{docs}\n```\n{q}"
        return f"{docs}\n{q}"

    def talk2(self, size, nq, want=None, mode=None):
        """(messages, candidates asked) with about size tokens of documents and nq questions."""
        rng = self.rng
        w = self._w = self.world2(size, want)
        by = {}
        for q in w.qs:
            if q.type not in ("reverse", "via") or w.value_counts.get(q.entity, 0) < 2:
                by.setdefault(q.type, []).append(q)
        if not by:
            return self.talk2(size, nq, want, mode)
        share = rng.choice((0.04, 0.1, 0.1, 0.18, 0.45)) if w.missing else 0
        conv = mode or rng.choices("svJVmix", (30, 6, 8, 9, 3, 4, 40))[0]  # x: every question its own style
        if conv in "mi":
            conv = "x"
        kJ = rng.choice(KEYS) if not self.held_out else rng.choice(K3)
        types = list(by)
        weights = [
            {
                "single": 3,
                "newattr": 3,
                "event": 2.2,
                "reverse": 1.6,
                "two_values": 0.8,
                "via": 0.8,
                "two_hop": 2,
                "yes_no": 0.5,
                "define": 0.8,
                "gap": 0.35,
                "zoo": 3,
            }.get(t, 1)
            for t in types
        ]
        if any(t == "single" for t in types) and rng.random() < 0.25:
            weights = [x * (4 if t in ("reverse", "two_hop", "via") else 1) for x, t in zip(weights, types)]
        msgs, picked = [], []
        sysm = None
        if conv == "V":
            sysm = self.value_instruction("")
        elif conv == "J":
            sysm = rng.choice(I3J if self.held_out else IJ).format(k=kJ)
            if "\n" in sysm:
                sysm = f'Output JSON like {{"{kJ}": "..."}}'
        elif rng.random() < 0.35:
            sysm = rng.choice(SYS2)
        if sysm and rng.random() < 0.25 and conv in "VJ":
            sysm = rng.choice(SYS2) + " " + sysm
        docs = rng.choice(("\n\n", "\n\n", "\n\n", "\n", "\n---\n", "\n\n\n")).join(w.texts)
        insys = rng.random() < 0.15
        if insys:
            sysm = f"{sysm + chr(10) if sysm else ''}{rng.choice(('Use the following documents to answer.', 'Documents:', 'Answer from this text:', 'Context:', 'The user has this file:', 'Knowledge:'))}\n\n{docs}"
        if sysm:
            msgs.append(("system", sysm))
        last = None
        for i in range(nq):
            if want == "not_stated" or (want is None and w.missing and rng.random() < share):
                x = rng.choice(w.missing) if w.missing else rng.choice(w.qs)
            elif want and want in by:
                x = rng.choice(by[want])
            else:
                x = rng.choice(by[rng.choices(types, weights)[0]])
            m = conv if conv != "x" else rng.choices("sfvjq", (5, 0.7, 2.6, 1.6, 0.7))[0]
            q, a = self.ask2(x, m, kJ)
            if i and last and rng.random() < 0.18 and not self.held_out:  # a follow-up that leans on the turn before
                c = [
                    z
                    for z in w.qs
                    if z.type == "single"
                    and z.attribute
                    and z.entity
                    and (
                        (z.entity == last.entity and z.attribute != last.attribute)
                        or (z.attribute == last.attribute and z.entity != last.entity)
                    )
                ]
                if c:
                    z = rng.choice(c)
                    phrase = (
                        rng.choice(("the {a}", "its {a}", "{a}", "the {a} of that one", "their {a}")).format(
                            a=z.attribute
                        )
                        if z.entity == last.entity
                        else rng.choice(("{e}", "{e}", "for {e}", "of {e}")).format(e=z.entity)
                    )
                    if m in "sVJ":
                        x = z
                        q = w.style(rng.choice(FOLLOW).format(phrase=phrase), (z.entity,))
                        a = (
                            z.answer(z.attribute)
                            if m == "s"
                            else z.value
                            if m == "V"
                            else json.dumps({kJ: z.value}, ensure_ascii=False)
                        )
            last = x if x.type == "single" and x.entity else None
            picked.append((x, m))
            if i == 0 and not insys:
                q = self.wrap2(docs, q, w.texts)
            msgs += [("user", q), ("assistant", a)]
            if i and rng.random() < 0.02:
                msgs += [("user", rng.choice(CHAT2[3][0])), ("assistant", CHAT2[3][1])]
        return msgs, picked

    def row(self, L):
        """One training row of at most L tokens: (token ids, loss classes)."""
        rng = self.rng
        if rng.random() < self.old:
            return super().row(L)
        if L <= 1024 and rng.random() < 0.04:
            ids, classes = [], []
            while len(ids) < min(L, 200):
                a, b = self.tokens(self.chat())
                ids, classes = ids + a, classes + b
            return ids[:L], classes[:L]
        if L <= 2048 and rng.random() < 0.35:  # several small documents, each with its own conversation
            ids, classes = [], []
            while len(ids) < L - 150:
                m, _ = self.talk2(rng.choice((60, 100, 150, 250)), rng.choice((1, 2, 3, 4)))
                a, b = self.tokens(m)
                if len(ids) + len(a) > L:
                    break
                ids, classes = ids + a, classes + b
            if ids:
                return ids, classes
        nq = min(max(2, L // 150), rng.choice((2, 4, 6, 8, 12, 20, 30) if L <= 4096 else (8, 16, 24, 40, 56)))
        size = int(L * rng.uniform(0.85, 1.0)) - 45 * nq - 40
        for _ in range(4):
            msgs, _ = self.talk2(max(60, size), nq)
            ids, classes = self.tokens(msgs)
            if len(ids) <= L:
                return ids, classes
            size = int(size - (len(ids) - L) - 30)
            nq = max(1, nq - 1)
            if size < 60:
                break
        return ids[:L], classes[:L]

    def case2(self, size, typ):
        """one case of the second held-out set"""
        rng = self.rng
        want, mode = {"value_only": ("single", rng.choice("vV")), "json": ("single", rng.choice("jJ"))}.get(
            typ, (typ, "s")
        )
        T0 = size - 110
        for _ in range(400):
            if typ == "follow_up":
                msgs, picked = self.talk2(T0, 1, "single", "s")
                x = picked[0][0]
                if not x.entity:
                    continue
                # the second turn asks for another attribute of the same entity
                cand = self.last_world_single(msgs, x)
                if not cand:
                    continue
                msgs = msgs + [
                    ("user", rng.choice(FOLLOW3).format(phrase="the " + cand.attribute)),
                    ("assistant", cand.answer(cand.attribute)),
                ]
                qa, ans = cand, cand.answer(cand.attribute)
            else:
                msgs, picked = self.talk2(T0, 1, want, mode)
                qa, ans = picked[0][0], msgs[-1][1]
                if qa.type != want and not (want == "single" and qa.type == "newattr"):
                    continue
            n = len(self.tokens(msgs[:-1])[0]) + self.open_len
            if n > size or n < size * 0.85:
                T0 += -max(20, n - size) if n > size else 30
                continue
            return dict(
                type=typ,
                context_tokens=n,
                messages=[{"role": a, "content": b} for a, b, *_ in msgs[:-1]],
                answer=ans,
                value=qa.value or ans,
            )
        raise RuntimeError("no case of type " + typ)

    def last_world_single(self, msgs, x):
        """Another question about the entity of x."""
        c = [
            z
            for z in self._w.qs
            if z.type in ("single", "newattr") and z.entity == x.entity and z.attribute != x.attribute
        ]
        return self.rng.choice(c) if c else None
