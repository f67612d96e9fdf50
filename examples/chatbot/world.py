# SPDX-License-Identifier: BSD-2-Clause
"""What customers write to the support of a web shop, invented from a grammar.

Each answer of the shop belongs to an intent and has phrasings; words in braces are drawn from WORDS. The last phrasing
of every answer is kept for the test: one in four sentences of the sample has a phrasing that the model never saw. Customers greet, thank,
shout, abbreviate and mistype. Some write about other things, or mix: those the bot should hand over.
"""
import re

WORDS = {
    "item": ["phone", "laptop", "headphones", "tablet", "camera", "keyboard", "monitor", "charger", "speaker", "watch",
             "printer", "router", "mouse", "case", "cable", "console"],
    "order": ["order", "purchase", "parcel", "package", "shipment", "delivery"],
    "buy": ["bought", "ordered", "got", "purchased", "received"],
    "broken": ["broken", "damaged", "cracked", "defective", "dead", "faulty", "smashed"],
    "want": ["i want to", "i would like to", "i'd like to", "i need to", "can i", "how do i", "how can i", "help me",
             "is it possible to", "please let me", "i wish to", "could i"],
    "when": ["yesterday", "last week", "on monday", "two days ago", "this morning", "a month ago", "in may",
             "three weeks ago", "on friday"],
    "cancel": ["cancel", "call off", "stop", "revoke", "withdraw", "undo"],
    "money": ["money", "cash", "refund", "payment", "amount"],
    "card": ["credit card", "debit card", "visa", "mastercard", "card"],
    "country": ["norway", "switzerland", "the uk", "canada", "japan", "brazil", "australia", "turkey"],
    "city": ["berlin", "paris", "leeds", "madrid", "zurich", "oslo", "lyon", "hamburg"],
    "site": ["site", "website", "app", "page", "shop"],
    "num": ["10234", "20817", "33190", "48820", "57731", "60012", "71945", "99340"],
    "person": ["human", "person", "real agent", "member of staff", "colleague of yours", "operator", "employee"],
}
# intent: {answer: (what the shop says, phrasings)}
ANSWERS = {
    "track_order": {
        "where": ("You can follow your parcel under My orders; the tracking link is also in our e-mail.", [
            "where is my {order}", "where's my {order} {num}", "can you tell me where the {item} i {buy} is now",
            "track {order} {num}", "what is the status of {order} {num}", "any news about my {order}",
            "i would like to know the current location of my {order}"]),
        "late": ("We are sorry that it is late. If a parcel is not there five days after its date, we send it again.", [
            "my {order} is late", "the {item} should have arrived {when} but nothing came",
            "my {order} is delayed, what now", "still waiting for my {item}, it is overdue",
            "the {order} has not arrived in time", "why is delivery of the {item} taking so long",
            "it is long past the date and my {order} did not come"]),
        "proof": ("The carrier's proof of delivery is in My orders. Ask your neighbours, then write to us and we search.", [
            "it says delivered but i have no {order}", "tracking shows delivered, i never received the {item}",
            "marked as delivered yet nothing is here", "the carrier claims they delivered my {order}, they did not",
            "{order} {num} was signed for by somebody else", "your page says my {item} was delivered, that is wrong"]),
    },
    "cancel_order": {
        "before": ("Open My orders and choose Cancel; that works until the parcel has left us.", [
            "{want} {cancel} my {order}", "{cancel} {order} {num}", "please {cancel} the {item} i {buy} {when}",
            "i changed my mind, {cancel} the {order}", "{want} {cancel} the {item} before it ships",
            "i no longer want the {item}, {cancel} it", "ordered the {item} by mistake, please {cancel} that"]),
        "after": ("A parcel that has left cannot be stopped. Refuse it at the door, or send it back at our cost.", [
            "can i still {cancel} if it has been shipped already", "it is shipped, {want} {cancel} anyway",
            "the {item} is on its way but {want} {cancel}", "too late to {cancel} a shipped {order}",
            "{want} {cancel} {order} {num} although it left the warehouse",
            "my {item} was sent out already, is {cancel} still an option"]),
    },
    "return_item": {
        "how": ("Print the label under My orders, Return, and hand the parcel in at any post office within 30 days.", [
            "{want} return the {item}", "{want} send back the {item} i {buy} {when}", "how does a return work",
            "where do i get a return label", "i need a label to send the {item} back",
            "the {item} is not what i expected, {want} return it", "what are the steps for giving back a {item}"]),
        "window": ("You have 30 days from the day the parcel arrives; around Christmas until the end of January.", [
            "how long do i have to return a {item}", "until when can i send the {item} back",
            "what is the return period", "is it too late to return a {item} i {buy} {when}",
            "how many days for a return", "deadline for sending back my {item}"]),
        "opened": ("Opened goods may come back as long as they are complete and clean; sealed software may not.", [
            "can i return an opened {item}", "the box is open, may i still send the {item} back",
            "i used the {item} once, {want} return it", "return without the original packaging",
            "i threw the box away, is a return possible", "may a {item} that was unpacked be sent back"]),
    },
    "refund": {
        "time": ("A refund takes three to five days after we have the goods; your bank may add two.", [
            "when do i get my {money} back", "how long does a refund take", "still no refund for {order} {num}",
            "i returned the {item} {when} and have no {money} yet", "where is my refund",
            "waiting for my {money} since i sent the {item} back", "my refund has not shown up on my account"]),
        "how": ("We pay back the way you paid. Gift cards are filled up again.", [
            "how will i be refunded", "will the refund go to my {card}", "can you refund to another {card}",
            "which account does the refund go to", "is the refund paid as a voucher",
            "i closed my {card}, where will the refund be paid"]),
        "part": ("Postage is paid back only where the whole order comes back. Write to us if the sum is not right.", [
            "my refund is too small", "you refunded less than i paid", "the refund does not include shipping",
            "only a part of the {money} came back", "the refunded {money} is wrong", "why did i get only half refunded"]),
    },
    "damaged_item": {
        "arrived": ("We are sorry! Send us a photograph; a new one leaves the same day.", [
            "the {item} arrived {broken}", "my {item} was {broken} when i opened the box", "i received a {broken} {item}",
            "{order} {num} came {broken}", "the {item} is {broken} on arrival", "the box was crushed and the {item} {broken}",
            "just unpacked the {item}, it is {broken}"]),
        "missing": ("Parts are posted to you at once. Tell us which one is missing.", [
            "a part of my {item} is missing", "there is no {item} in the box", "the {order} is incomplete",
            "i ordered two {item}s and got one", "parts are missing from the {item}", "the box came without the {item}"]),
        "wrong": ("Sorry for the mix-up. Keep the wrong one until the label is there; the right one is on its way.", [
            "you sent the wrong {item}", "i got a {item} instead of a {item}", "this is not the {item} i ordered",
            "wrong colour of {item}", "{order} {num} contains the wrong {item}", "that {item} is a different model than ordered"]),
    },
    "warranty": {
        "stopped": ("Goods have two years of warranty. Open a repair case with the serial number.", [
            "my {item} stopped working after a few months", "the {item} i {buy} {when} does not turn on any more",
            "{want} claim the warranty for my {item}", "the {item} needs a repair", "repair my {item} under warranty",
            "my {item} died after half a year, who repairs it"]),
        "length": ("Two years on everything, three on laptops; batteries have one.", [
            "how long is the warranty on a {item}", "does the {item} have a warranty", "what does the warranty cover",
            "is the battery covered by the warranty", "warranty period for a {item}", "how many years of guarantee has the {item}"]),
    },
    "payment": {
        "methods": ("We take cards, PayPal, bank transfer and gift cards.", [
            "which payment methods do you accept", "can i pay with {card}", "do you take paypal",
            "can i pay by bank transfer", "is payment on delivery possible", "can i pay in instalments",
            "what ways to pay are there"]),
        "failed": ("Check the limit and the address of the card; after three tries it is blocked for a day.", [
            "my {card} was declined", "payment failed", "the {site} does not accept my {card}",
            "i get an error when i pay", "checkout says my {card} is rejected", "the payment with my {card} will not go through"]),
        "double": ("A second booking is a reservation and vanishes within three days; else write to us.", [
            "i was charged twice", "you took the {money} two times", "double charge on my {card}",
            "why are there two bookings for {order} {num}", "my {card} was billed twice", "the same {money} was debited two times"]),
    },
    "invoice": {
        "copy": ("Invoices are in My orders as PDF.", [
            "{want} get an invoice for {order} {num}", "send me the invoice", "where can i download my invoice",
            "i need a receipt for the {item}", "i lost the bill for my {item}", "please mail a copy of the receipt"]),
        "change": ("We can write the invoice anew within 14 days. Tell us name, address and tax number.", [
            "the name on my invoice is wrong", "{want} change the invoice address", "add my tax number to the invoice",
            "can the invoice be made out to my company", "correct the invoice of {order} {num}",
            "the invoice must show our vat number"]),
    },
    "account": {
        "password": ("Choose Forgotten password on the login page; the link is good for one hour.", [
            "i forgot my password", "{want} reset my password", "the password link does not work",
            "{want} change my password", "the password is not accepted", "how to set a new password"]),
        "locked": ("After five tries the account rests for 30 minutes; we can open it sooner.", [
            "my account is locked", "i cannot log in", "log in to the {site} fails", "i am locked out of my account",
            "the {site} says my account is blocked", "my login has been suspended"]),
        "delete": ("Under Settings, Privacy you can delete the account; invoices are kept for ten years by law.", [
            "{want} delete my account", "close my account", "remove all my data", "erase my profile from your {site}",
            "{want} have my personal data deleted", "please wipe my account and everything about me"]),
        "email": ("You can change your e-mail address under Settings; confirm it by the link that we send.", [
            "{want} change my e-mail address", "my email is wrong in the account", "i have a new mail address",
            "update the email of my account", "switch my account to another e-mail", "i no longer use that mail address"]),
    },
    "shipping": {
        "cost": ("Postage is 4.90, and free from 50 on; express is 9.90.", [
            "how much is shipping", "what does delivery of a {item} cost", "is shipping free", "are there delivery fees",
            "shipping cost for a {item}", "what do you charge for postage"]),
        "time": ("Two to three working days; express comes on the next one.", [
            "how long does shipping take", "when would a {item} arrive if i order today", "do you have express delivery",
            "how fast do you deliver", "delivery time for a {item}", "will it come before the weekend if i buy it now"]),
        "abroad": ("We send to the whole of Europe; elsewhere on request, plus customs.", [
            "do you ship to {country}", "can you deliver the {item} to {country}", "shipping to {country}",
            "is international delivery possible", "i live in {country}, do you deliver there",
            "would you send a {item} abroad to {country}"]),
        "address": ("Until the parcel has left, the address can be changed under My orders.", [
            "{want} change the delivery address", "i moved to {city}, change the address of {order} {num}",
            "wrong address on my {order}", "deliver to my office in {city} instead", "send the {order} to another address",
            "i typed the wrong street for my {order}"]),
    },
    "stock": {
        "when": ("Choose Tell me on the page of the product, and you get an e-mail when it is there.", [
            "when is the {item} back in stock", "the {item} is sold out", "is the {item} available",
            "do you have the {item} in black", "how many {item}s are left", "will you get more {item}s soon"]),
        "shop": ("Our stores show what they have at the top right of each product's page.", [
            "do you have a store in {city}", "can i pick up the {item} in {city}", "opening hours of the shop in {city}",
            "is the {item} in the {city} store", "can i collect my {order} in person", "where is your branch in {city}"]),
    },
    "discount": {
        "code": ("A code goes into the box Voucher at the checkout; one per order, not with other offers.", [
            "my voucher code does not work", "where do i enter a discount code", "the {site} says my coupon is invalid",
            "can i use two vouchers", "my promo code is not accepted", "how do i redeem a coupon"]),
        "offers": ("Our newsletter has 10 % for the first order; students get 8 % all year.", [
            "do you have a student discount", "any sales for a {item}", "is there a discount on the {item}",
            "when is your next sale", "do new customers get a discount", "are there special offers this week"]),
        "match": ("If it was cheaper within 14 days after your order, we pay back the difference.", [
            "the {item} got cheaper after i {buy} it", "do you match prices", "found the {item} cheaper elsewhere",
            "the price dropped {when}, can i have the difference", "another {site} sells the {item} for less",
            "i paid more for the {item} than it costs today"]),
    },
    "agent": {
        "human": ("One moment, a colleague takes over.", [
            "{want} talk to a {person}", "connect me to a {person}", "{person} please", "is there a {person} i can speak to",
            "you are a bot, give me a {person}", "let a {person} answer this"]),
        "phone": ("Call us at +49 30 555 0100, weekdays from 8 to 18.", [
            "what is your phone number", "can i call you", "{want} talk on the phone", "please call me back",
            "is there a hotline", "which number do i dial to reach you"]),
        "complain": ("We are sorry that we failed you. A colleague will read this today.", [
            "{want} make a complaint", "your service is terrible", "i am very disappointed with your {site}",
            "this is unacceptable, i want to complain", "worst {site} ever", "i am fed up with your company"]),
    },
}
OTHER = [   # not for this bot; the last ones are for the test
    "what is the weather in {city}", "who won the game {when}", "tell me a joke", "how old are you",
    "what is the capital of {country}", "can you recommend a restaurant in {city}", "write a poem about a {item}",
    "how do i cook rice", "what time is it in {country}", "do you love me", "which {item} did napoleon use",
    "sing a song", "are you hiring in {city}", "what is seven times eight", "my dog is sick", "i have a headache",
    "book a flight to {city}", "play some music", "who is the president of {country}", "the train to {city} is cancelled",
    "translate good morning into french", "how tall is the eiffel tower", "is {country} a nice place to live",
    "recommend a book about {country}",
]
OTHER_TEST = 6
BEFORE = ["", "", "", "", "hi, ", "hello, ", "good morning, ", "hey ", "excuse me, ", "dear team, ", "hi there! ",
          "quick question: ", "sorry to bother you, "]
AFTER = ["", "", "", "", "?", "?", "!", ".", " please", " thanks", ", thank you", "???", " asap", " :(", " help"]
# The world after training: people write shorter, in other words, and about a recall.
CHANGED = ["recall of my {item}", "is my {item} part of the battery recall", "the {item} gets hot and smells of smoke",
           "wheres it", "any update", "the {item} caught fire", "i saw the recall on tv, what now", "recall number {num}",
           "is it safe to use the {item}", "lol your {site} is down", "500 error on the {site}", "smoke from the {item}",
           "why does the news say the {item} explodes", "wheres my stuff", "refund 4 the burning {item}"]


def fill(rng, phrasing):
    return re.sub(r"\{(\w+)\}", lambda m: str(rng.choice(WORDS[m.group(1)])), phrasing)


def mistype(rng, text):
    letters = list(text)
    k = int(rng.integers(1, len(letters) - 1))
    what = rng.integers(3)
    if what == 0:
        letters[k], letters[k - 1] = letters[k - 1], letters[k]
    elif what == 1:
        del letters[k]
    else:
        letters.insert(k, letters[k])
    return "".join(letters)


def say(rng, phrasing, careful=False):
    text = fill(rng, phrasing)
    if not careful:
        text = str(rng.choice(BEFORE)) + text + str(rng.choice(AFTER))
        while rng.random() < 0.18:
            text = mistype(rng, text)
        mood = rng.random()
        text = text.upper() if mood < 0.03 else text.capitalize() if mood < 0.4 else text
    return text


def answers():
    """(name, intent, text) of each answer; the last one has none: not for this bot."""
    return [("%s.%s" % (i, a), i, ANSWERS[i][a][0]) for i in ANSWERS for a in ANSWERS[i]]


def phrasings(test):
    """(phrasing, answer's number) for training, or for the test; len(answers()) stands for none."""
    out, k = [], 0
    for intent in ANSWERS.values():
        for _, texts in intent.values():
            out += [(p, k) for p in (texts[-1:] if test else texts[:-1])]
            k += 1
    return out + [(p, k) for p in (OTHER[-OTHER_TEST:] if test else OTHER[:-OTHER_TEST])]
